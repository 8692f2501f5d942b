# Writes an AdmissionReview of about `bytes` bytes: an UPDATE of a StarRocksCluster that changes the replicas and no
# image, in the proportions of real objects: about half of it managedFields, the rest environment, mounts, volumes, a
# sidecar and a status. Below 4 KB only the bare cluster. With `hooks` it asks for these and changes the BEs' image, too.
# usage: awk -v bytes=8192 [-v name=bench] [-v hooks=NAME,NAME] -f review.awk

function environment(i) {
  if (i % 4 == 3)
    return sprintf("{\"name\":\"SETTING_%04d\",\"valueFrom\":{\"secretKeyRef\":{\"name\":\"starrocks-%d\",\"key\":\"token\"}}}", i, i)
  return sprintf("{\"name\":\"SETTING_%04d\",\"value\":\"jdbc:mysql://fe-%d.starrocks.svc:9030/?a=b\"}", i, i)
}

function mount(i) {
  return sprintf("{\"name\":\"connector-%04d\",\"mountPath\":\"/opt/starrocks/connectors/%d.conf\",\"subPath\":\"%d.conf\"}", i, i, i)
}

function managed_field(i) {
  return sprintf("\"k:{\\\"name\\\":\\\"SETTING_%04d\\\"}\":{\".\":{},\"f:name\":{},\"f:value\":{}}," \
    "\"k:{\\\"name\\\":\\\"connector-%04d\\\"}\":{\".\":{},\"f:mountPath\":{},\"f:name\":{},\"f:subPath\":{}}", i, i)
}

# KIND of all settings, separated by commas.
function list(kind, count,   i, text) {
  for (i = 0; i < count; i++) {
    if (i) text = text ","
    if (kind == "environment") text = text environment(i)
    else if (kind == "mount") text = text mount(i)
    else text = text managed_field(i)
  }
  return text
}

function component(kind, replicas, more,   version) {
  version = hooks && kind == "be" && replicas == 4 ? "3.3.6" : "3.3.5"
  return "{\"image\":\"starrocks/" kind "-ubuntu:" version "\",\"replicas\":" replicas \
    (rich ? ",\"requests\":{\"cpu\":\"4\",\"memory\":\"16Gi\"},\"limits\":{\"cpu\":\"8\",\"memory\":\"32Gi\"}," \
            "\"storageVolumes\":[{\"name\":\"data\",\"storageClassName\":\"ssd\",\"storageSize\":\"1Ti\",\"mountPath\":\"/opt/starrocks/" kind "/storage\"}]" : "") \
    more "}"
}

function sidecar() {
  return ",\"sidecars\":[{\"name\":\"shipper\",\"image\":\"fluent-bit:3.1\",\"env\":[{\"name\":\"LEVEL\",\"value\":\"warn\"}]," \
    "\"resources\":{\"limits\":{\"memory\":\"64Mi\"}},\"volumeMounts\":[{\"name\":\"log\",\"mountPath\":\"/var/log/starrocks\"}]}]"
}

function status() {
  return ",\"status\":{\"phase\":\"running\",\"starRocksFeStatus\":{\"serviceName\":\"bench-fe-service\",\"phase\":\"running\"," \
    "\"runningInstances\":[\"bench-fe-0\",\"bench-fe-1\",\"bench-fe-2\"]},\"starRocksBeStatus\":{\"phase\":\"running\"}}"
}

function cluster(count, replicas) {
  return "{\"apiVersion\":\"starrocks.com/v1\",\"kind\":\"StarRocksCluster\",\"metadata\":{\"name\":\"" name "\"," \
    "\"namespace\":\"starrocks\"" \
    (rich ? ",\"uid\":\"11111111-2222-3333-4444-555555555555\",\"generation\":7,\"resourceVersion\":\"48151623\"," \
            "\"creationTimestamp\":\"2026-01-02T03:04:05Z\",\"annotations\":{\"starrocks.com/prepare-upgrade\":\"true\"" \
            (hooks ? ",\"starrocks.com/upgrade-hooks\":\"" hooks "\"" : "") "}," \
            "\"managedFields\":[{\"manager\":\"kubectl\",\"operation\":\"Apply\",\"apiVersion\":\"starrocks.com/v1\"," \
            "\"time\":\"2026-01-02T03:04:05Z\",\"fieldsType\":\"FieldsV1\",\"fieldsV1\":{\"f:spec\":{\"f:starRocksFeSpec\":{" \
            list("managed_field", count) "}}}}]" : "") \
    "},\"spec\":{\"starRocksFeSpec\":" \
    component("fe", 3, ",\"feEnvVars\":[" list("environment", count) "],\"configMaps\":[" list("mount", count) "]" (rich ? sidecar() : "")) \
    ",\"starRocksBeSpec\":" component("be", replicas) "}" (rich ? status() : "") "}"
}

function review(count) {
  return "{\"kind\":\"AdmissionReview\",\"apiVersion\":\"admission.k8s.io/v1\",\"request\":{" \
    "\"uid\":\"705ab4f5-6393-11e8-b7cc-42010a800002\"," \
    "\"kind\":{\"group\":\"starrocks.com\",\"version\":\"v1\",\"kind\":\"StarRocksCluster\"}," \
    "\"resource\":{\"group\":\"starrocks.com\",\"version\":\"v1\",\"resource\":\"starrocksclusters\"}," \
    "\"name\":\"" name "\",\"namespace\":\"starrocks\",\"operation\":\"UPDATE\"," \
    "\"userInfo\":{\"username\":\"admin\",\"groups\":[\"system:masters\",\"system:authenticated\"]}," \
    "\"object\":" cluster(count, 4) ",\"oldObject\":" cluster(count, 3) "," \
    "\"dryRun\":false,\"options\":{\"kind\":\"UpdateOptions\",\"apiVersion\":\"meta.k8s.io/v1\"}}}"
}

BEGIN {
  if (!name) name = "bench"
  rich = bytes >= 4096
  empty = length(review(0))
  per_setting = (length(review(100)) - empty) / 100
  count = int((bytes - empty) / per_setting)
  printf "%s", review(count > 0 ? count : 0)
}
