# Writes an AdmissionReview of about `bytes` bytes: an UPDATE of a StarRocksCluster that changes the replicas and no
# image, with what real objects carry: managedFields, environment, annotations.
# usage: awk -v bytes=8192 -f review.awk

function environment(count,   i, text) {
  for (i = 0; i < count; i++) {
    text = text (i ? "," : "") sprintf("{\"name\":\"SETTING_%04d\",\"value\":\"jdbc:mysql://fe-%d.starrocks.svc:9030/?a=b\"}", i, i)
  }
  return text
}

function managed_fields(count,   i, text) {
  for (i = 0; i < count; i++) {
    text = text (i ? "," : "") sprintf("\"f:setting_%04d\":{\".\":{},\"f:name\":{},\"f:value\":{}}", i)
  }
  return "[{\"manager\":\"kubectl-client-side-apply\",\"operation\":\"Update\",\"apiVersion\":\"starrocks.com/v1\"," \
    "\"time\":\"2026-01-02T03:04:05Z\",\"fieldsType\":\"FieldsV1\",\"fieldsV1\":{\"f:spec\":{" text "}}}]"
}

function cluster(count, replicas,   spec) {
  spec = "{\"image\":\"starrocks/%s-ubuntu:3.3.5\",\"replicas\":%d,\"feEnvVars\":[" environment(count) "]}"
  return "{\"apiVersion\":\"starrocks.com/v1\",\"kind\":\"StarRocksCluster\",\"metadata\":{\"name\":\"bench\"," \
    "\"namespace\":\"starrocks\",\"uid\":\"11111111-2222-3333-4444-555555555555\",\"generation\":7," \
    "\"annotations\":{\"starrocks.com/prepare-upgrade\":\"true\"},\"managedFields\":" managed_fields(count) "}," \
    "\"spec\":{\"starRocksFeSpec\":" sprintf(spec, "fe", 3) ",\"starRocksBeSpec\":{\"image\":" \
    "\"starrocks/be-ubuntu:3.3.5\",\"replicas\":" replicas ",\"storageVolumes\":[{\"name\":\"data\"," \
    "\"storageSize\":\"1Ti\",\"mountPath\":\"/opt/starrocks/be/storage\"}]}}}"
}

function review(count) {
  return "{\"kind\":\"AdmissionReview\",\"apiVersion\":\"admission.k8s.io/v1\",\"request\":{" \
    "\"uid\":\"705ab4f5-6393-11e8-b7cc-42010a800002\"," \
    "\"kind\":{\"group\":\"starrocks.com\",\"version\":\"v1\",\"kind\":\"StarRocksCluster\"}," \
    "\"resource\":{\"group\":\"starrocks.com\",\"version\":\"v1\",\"resource\":\"starrocksclusters\"}," \
    "\"name\":\"bench\",\"namespace\":\"starrocks\",\"operation\":\"UPDATE\"," \
    "\"userInfo\":{\"username\":\"admin\",\"groups\":[\"system:masters\",\"system:authenticated\"]}," \
    "\"object\":" cluster(count, 4) ",\"oldObject\":" cluster(count, 3) "," \
    "\"dryRun\":false,\"options\":{\"kind\":\"UpdateOptions\",\"apiVersion\":\"meta.k8s.io/v1\"}}}"
}

BEGIN {
  empty = length(review(0))
  per_setting = (length(review(100)) - empty) / 100
  count = int((bytes - empty) / per_setting)
  printf "%s", review(count > 0 ? count : 0)
}
