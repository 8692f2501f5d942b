#pragma once
// One StarRocksCluster in every shape that kubectl takes from a file, and in some that it does not: for the tests of
// `plan` without a cluster, and with kubectl itself as the yardstick.

#include <string>
#include <vector>

namespace gate::test {

struct Shape {
  std::string name;
  std::string text;
  /// "" where the cluster is read; otherwise what `plan` says instead (exit code 2).
  std::string said{};
  bool kubectl_reads_it = true;
};

/// As Windows tools write a text in ASCII, with a byte order mark.
inline std::string utf16(const std::string& text, bool big_endian) {
  std::string out = big_endian ? "\xFE\xFF" : "\xFF\xFE";
  for (const char c : text) out += big_endian ? std::string{'\0', c} : std::string{c, '\0'};
  return out;
}

/// All name the cluster "sr" with the FE image "fe:3.5.7".
inline std::vector<Shape> shapes() {
  const std::string kCluster =
      "apiVersion: starrocks.com/v1\nkind: StarRocksCluster\nmetadata: {name: sr}\n"
      "spec: {starRocksFeSpec: {image: 'fe:3.5.7'}}\n";
  const std::string kJson = R"({"apiVersion":"starrocks.com/v1","kind":"StarRocksCluster","metadata":{"name":"sr"},)"
                            R"("spec":{"starRocksFeSpec":{"image":"fe:3.5.7"}}})";
  const std::string kOther = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: other}\ndata: {a: b}\n";
  const std::string kOtherJson = R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"other"}})";
  const std::string kItem = "- metadata: {name: sr}\n  spec: {starRocksFeSpec: {image: 'fe:3.5.7'}}\n";
  const std::string kFullItem =
      "- apiVersion: starrocks.com/v1\n  kind: StarRocksCluster\n  metadata: {name: sr}\n"
      "  spec: {starRocksFeSpec: {image: 'fe:3.5.7'}}\n";
  const std::string kMark = "\uFEFF";
  std::vector<Shape> shapes{
      {"plain", kCluster},
      {"a separator before it", "---\n" + kCluster},
      {"a separator with blanks and a comment", kOther + "---  # the cluster\n" + kCluster},
      {"separators only", "---\n---\n# nothing\n---\n" + kCluster + "---\n---\n"},
      {"a document end", kOther + "...\n---\n" + kCluster + "...\n"},
      {"comments before it", "# a\n#b\n\n" + kCluster},
      {"Windows line ends",
       "apiVersion: starrocks.com/v1\r\nkind: StarRocksCluster\r\nmetadata: {name: sr}\r\n"
       "spec: {starRocksFeSpec: {image: 'fe:3.5.7'}}\r\n"},
      {"Windows line ends at separators", "# a\r\n---\r\n" + kOther + "\r\n---\r\n" + kCluster},
      {"a byte order mark at the beginning", kMark + kCluster},
      {"a byte order mark behind a separator", kOther + "---\n" + kMark + kCluster},
      {"a byte order mark before a separator", kMark + "---\n" + kCluster},
      {"line ends of old Macs",
       "apiVersion: starrocks.com/v1\rkind: StarRocksCluster\rmetadata: {name: sr}\r"
       "spec: {starRocksFeSpec: {image: 'fe:3.5.7'}}\r"},
      {"a last field with nothing behind its colon",
       "apiVersion: starrocks.com/v1\nkind: StarRocksCluster\nmetadata: {name: sr}\n"
       "spec: {starRocksFeSpec: {image: 'fe:3.5.7'}}\nstatus:"},
      {"UTF-16", utf16(kCluster, false)},
      {"UTF-16, big endian", utf16(kCluster, true)},
      {"UTF-16 with Windows line ends and separators",
       utf16("---\r\n" + kOther + "---\r\n" + kCluster + "---\r\n", false)},
      {"UTF-16 with JSON", utf16(kJson, false)},
      {"JSON", kJson},
      {"JSON behind blanks", "\n\n  " + kJson + "\n"},
      {"JSON that is indented",
       "{\n  \"apiVersion\": \"starrocks.com/v1\",\n  \"kind\": \"StarRocksCluster\",\n"
       "  \"metadata\": {\"name\": \"sr\"},\n"
       "  \"spec\": {\"starRocksFeSpec\": {\"image\": \"fe:3.5.7\"}}\n}\n"},
      {"a JSON object a line", kOtherJson + "\n" + kJson + "\n"},
      {"JSON objects in one line", kOtherJson + kJson},
      {"JSON objects with a brace in a text", R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"other"},)"
                                              R"("data":{"a":"}\"{"}})" +
                                                  kJson},
      {"a flow mapping",
       "{apiVersion: starrocks.com/v1, kind: StarRocksCluster, metadata: {name: sr}, "
       "spec: {starRocksFeSpec: {image: 'fe:3.5.7'}}}\n"},
      {"a List", "apiVersion: v1\nkind: List\nitems:\n" + kFullItem},
      {"a List in JSON", R"({"apiVersion":"v1","kind":"List","items":[)" + kOtherJson + "," + kJson + "]}"},
      {"a List of lists",
       "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: List\n  items:\n  - " + kJson + "\n", "", false},
      {"a typed list", "apiVersion: starrocks.com/v1\nkind: StarRocksClusterList\nitems:\n" + kFullItem},
      {"a typed list whose items have no kind",
       "apiVersion: starrocks.com/v1\nkind: StarRocksClusterList\nitems:\n" + kItem},
      {"anchors and aliases",
       "apiVersion: starrocks.com/v1\nkind: StarRocksCluster\nmetadata: {name: &n sr, labels: "
       "{a: *n}}\nspec: {starRocksFeSpec: {image: &i 'fe:3.5.7'}}\n"},
      {"an anchor on a mapping",
       "apiVersion: starrocks.com/v1\nkind: StarRocksCluster\nmetadata: {name: sr, labels: &l "
       "{a: b}, annotations: *l}\nspec: {starRocksFeSpec: {image: 'fe:3.5.7'}}\n"},
      {"a merge key",
       "apiVersion: starrocks.com/v1\nkind: StarRocksCluster\nmetadata: {name: sr, annotations: &l {image: "
       "'fe:3.5.7'}}\nspec: {starRocksFeSpec: {<<: *l, replicas: 1}}\n"},
      {"a merge key that is overruled",
       "apiVersion: starrocks.com/v1\nkind: StarRocksCluster\nmetadata: {name: sr, labels: &l {image: x}}\n"
       "spec: {starRocksFeSpec: {<<: *l, image: 'fe:3.5.7'}}\n"},
      {"a merge of two mappings, the first counts",
       "apiVersion: starrocks.com/v1\nkind: StarRocksCluster\nmetadata: {name: sr, labels: &m {image: x}, annotations: "
       "&l {image: 'fe:3.5.7'}}\n"
       "spec: {starRocksFeSpec: {<<: [*l, *m]}}\n"},
      {"tags that change nothing",
       "apiVersion: !!str starrocks.com/v1\nkind: StarRocksCluster\nmetadata: !!map {name: "
       "sr}\nspec: {starRocksFeSpec: {image: 'fe:3.5.7', replicas: !!int 1}}\n"},
      {"two objects without a separator between them", kCluster + kOther,
       "line 1: apiVersion is there twice in one document: is a line \"---\" missing before the second?"},
      {"a key twice in another document",
       "apiVersion: v1\nkind: Service\nmetadata: {name: s, labels: {a: b, a: c}}\nspec: {ports: [{port: 1}]}\n---\n" +
           kCluster},
      {"a key twice in another JSON object",
       R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"other","labels":{"a":"b","a":"c"}}})" + kJson},
      {"a binary value in another document",
       "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: other}\ndata: {a: !!binary aGk=}\n---\n" + kCluster},
  };
  const auto refused = [&shapes](std::string name, std::string text, std::string said, bool kubectl_reads_it = false) {
    shapes.push_back({std::move(name), std::move(text), std::move(said), kubectl_reads_it});
  };
  refused("a zero width space before the first field", kOther + "---\n\u200B" + kCluster,
          "line 6: a document without apiVersion: its field \"\u200BapiVersion\" has U+200B (zero width space)");
  refused("a mark behind a comment", kOther + "---\n# c\n" + kMark + kCluster,
          "line 7, column 1: U+FEFF (byte order mark)");
  refused("the kind in lower case", "apiVersion: starrocks.com/v1\nkind: starrockscluster\nmetadata: {name: sr}\n",
          "kind \"starrockscluster\": want StarRocksCluster");
  refused("the kind with an invisible end",
          "apiVersion: starrocks.com/v1\nkind: \"StarRocksCluster\u200B\"\nmetadata: {name: sr}\n",
          "which has U+200B (zero width space): want StarRocksCluster");
  refused("the kind of a list in lower case",
          "apiVersion: starrocks.com/v1\nkind: starrocksclusterList\nitems:\n" + kItem, "want StarRocksCluster");
  refused("a kind of hooks in lower case", "apiVersion: v1\nkind: configmap\nmetadata: {name: a}\n",
          "kind \"configmap\": want ConfigMap");
  refused("another group", "apiVersion: starrocks.io/v1\nkind: StarRocksCluster\nmetadata: {name: sr}\n",
          "apiVersion \"starrocks.io/v1\" of a StarRocksCluster: want starrocks.com/v1");
  refused("no apiVersion", "kind: StarRocksCluster\nmetadata: {name: sr}\n", "without apiVersion; it has kind");
  refused("no kind", "apiVersion: starrocks.com/v1\nmetadata: {name: sr}\n", "without kind; it has apiVersion");
  refused("an empty object", "{}\n", "without apiVersion and kind or any other field");
  refused("a kind that is a number", "apiVersion: v1\nkind: 5\nmetadata: {name: sr}\n", "kind is not a string");
  refused("a text", "hello\n", "not an object");
  refused("a bare list", "- a\n- b\n", "not an object");
  refused("a last line without a colon", kCluster + "garbage\n", "line 5, column 1: a key without \":\" behind it");
  refused("a last field without a colon",
          "apiVersion: starrocks.com/v1\nkind: StarRocksCluster\nmetadata: {name: sr}\nspec:\n"
          "  starRocksFeSpec: {image: 'fe:3.5.7'}\n  starRocksBeSpec",
          "line 6, column 3: a key without \":\" behind it");
  refused("a List in lower case", "apiVersion: v1\nkind: list\nitems:\n" + kFullItem,
          "line 1: kind \"list\" has items: want List, or a kind that ends in List");
  refused("a typed list in lower case", "apiVersion: starrocks.com/v1\nkind: starrocksclusterlist\nitems:\n" + kItem,
          "has items: want List");
  refused("a List in the plural", "apiVersion: v1\nkind: Lists\nitems:\n" + kFullItem, "has items: want List");
  refused("UTF-16 without a mark", utf16(kCluster, false).substr(2), "line 1, column 2: control character");
  refused("UTF-16 that is cut in a character", utf16(kCluster, false) + "a", "line 5");
  refused("items that are no list", "apiVersion: v1\nkind: List\nitems: {}\n", "are no list");
  refused("a key twice in the cluster",
          "apiVersion: starrocks.com/v1\nkind: StarRocksCluster\nmetadata: {name: sr}\nspec:\n"
          "  starRocksFeSpec: {image: 'fe:3.5.7', image: 'fe:3.5.8'}\n",
          "line 5: the key \"image\" is there twice", true);
  refused("a merge key that overrules",
          "apiVersion: starrocks.com/v1\nkind: StarRocksCluster\nmetadata: {name: sr, labels: &l {image: x}}\n"
          "spec: {starRocksFeSpec: {image: 'fe:3.5.7', <<: *l}}\n",
          "line 4: the merge key \"<<\" overrules \"image\" before it (in StarRocksCluster default/sr)", true);
  refused("a merge of a text", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: &n a, <<: *n}\n", "merge key");
  refused("an alias inside of its own anchor", "apiVersion: v1\nkind: ConfigMap\nmetadata: &m {name: a, x: *m}\n",
          "inside of its own anchor");
  refused("an alias of nothing", "apiVersion: v1\nkind: ConfigMap\nmetadata: *m\n", "line 3");
  // What the API server refuses or prunes would be taken as absent.
  const auto cluster = [](const std::string& metadata, const std::string& spec) {
    return "apiVersion: starrocks.com/v1\nkind: StarRocksCluster\nmetadata: {" + metadata + "}\n" + spec + "\n";
  };
  const auto of_fe = [&](const std::string& fields) {
    return cluster("name: sr", "spec: {starRocksFeSpec: {" + fields + "}}");
  };
  const std::string kFe = "spec.starRocksFeSpec";
  refused("an image that is a number", of_fe("image: 3.57"),
          "line 1: StarRocksCluster sr: " + kFe + ".image: invalid value \"3.57\": want a string, in quotes: \"3.57\"");
  refused("an image that is a list", of_fe("image: [fe]"), kFe + ".image: invalid value \"[\"fe\"]\": want a string");
  refused("an image that is a truth value", of_fe("image: yes"), "want a string, in quotes");
  refused("an empty image", of_fe("image: ''"), kFe + ".image: want an image, or no such field", true);
  refused("a size as a text", of_fe("image: fe, replicas: '3'"),
          kFe + ".replicas: invalid value \"3\": want a whole number from 0 to 2147483647, without quotes");
  refused("a size that is no whole number", of_fe("image: fe, replicas: 1.5"), kFe + ".replicas");
  refused("the image misspelt", of_fe("imagee: fe"), kFe + ": invalid value \"imagee\": want image", true);
  refused("the image in another case", of_fe("Image: fe"), kFe + ": invalid value \"Image\": want image", true);
  refused("the image with a no-break space", of_fe("\"image\\u00A0\": fe"), "U+00A0 (no-break space)", true);
  refused("a component misspelt", cluster("name: sr", "spec: {starRocksFESpec: {image: fe}}"),
          "spec: invalid value \"starRocksFESpec\": want starRocksFeSpec", true);
  refused("a component that is a list", cluster("name: sr", "spec: {starRocksBeSpec: [a]}"),
          "spec.starRocksBeSpec: invalid value");
  refused("a component that is a text", cluster("name: sr", "spec: {starRocksCnSpec: fe}"), "want an object");
  refused("the spec misspelt", cluster("name: sr", "specs: {}"), "the manifest: invalid value \"specs\": want spec",
          true);
  refused("the spec that is a list", cluster("name: sr", "spec: []"), "spec: invalid value \"[]\": want an object");
  refused("metadata that is a text", "apiVersion: starrocks.com/v1\nkind: StarRocksCluster\nmetadata: sr\n",
          "metadata: invalid value \"sr\": want an object");
  refused("a name that is a number", cluster("name: 5", "spec: {}"),
          "metadata.name: invalid value \"5\": want a string, in quotes: \"5\"");
  refused("a name that is a truth value", cluster("name: on", "spec: {}"), "metadata.name: invalid value");
  refused("a namespace that is a number", cluster("name: sr, namespace: 5", "spec: {}"), "metadata.namespace");
  refused("a name in capitals", cluster("name: SR", "spec: {}"),
          "metadata.name: invalid value \"SR\": want lower case letters, digits, '-' and '.'");
  refused("a name with a zero width space", cluster("name: \"sr\\u200B\"", "spec: {}"), "U+200B (zero width space)");
  refused("a name with a letter of another script", cluster("name: \"s\\u0440\"", "spec: {}"), "U+0440");
  refused("an annotation of others that is a number", cluster("name: sr, annotations: {team: 5}", "spec: {}"),
          "metadata.annotations[team]: invalid value \"5\": want a string, in quotes: \"5\"");
  refused("a label that is a date's number", cluster("name: sr, labels: {since: 20240115}", "spec: {}"),
          "metadata.labels[since]: invalid value \"20240115\": want a string, in quotes");
  refused("labels that are a list", cluster("name: sr, labels: [a]", "spec: {}"), "metadata.labels: invalid value");
  refused("the annotations misspelt",
          cluster("name: sr, annotation: {starrocks.com/prepare-upgrade: 'true'}", "spec: {}"),
          "metadata: invalid value \"annotation\": want annotations", true);
  const auto warehouse = [](const std::string& spec) {
    return "apiVersion: starrocks.com/v1\nkind: StarRocksWarehouse\nmetadata: {name: w}\nspec: {" + spec + "}\n";
  };
  refused("a warehouse whose image is a number", warehouse("starRocksCluster: sr, template: {image: 3.5}"),
          "StarRocksWarehouse w: spec.template.image: invalid value \"3.5\": want a string, in quotes");
  refused("a warehouse of a cluster with a number", warehouse("starRocksCluster: 7, template: {}"),
          "spec.starRocksCluster: invalid value \"7\": want a string");
  refused("a warehouse's cluster misspelt", warehouse("starrocksCluster: sr, template: {}"),
          "spec: invalid value \"starrocksCluster\": want starRocksCluster");
  refused("a warehouse's template misspelt", warehouse("starRocksCluster: sr, templates: {}"), "want template");
  refused("a kind of ours misspelt", "apiVersion: starrocks.com/v1\nkind: StarRockCluster\nmetadata: {name: sr}\n",
          "kind \"StarRockCluster\": want StarRocksCluster");
  refused("a kind of ours in the plural",
          "apiVersion: starrocks.com/v1\nkind: StarRocksWarehouses\nmetadata: {name: w}\n",
          "kind \"StarRocksWarehouses\": want StarRocksWarehouse");
  refused("a kind with a letter of another script",
          "apiVersion: starrocks.com/v1\nkind: \"StarRo\\u0441ksCluster\"\nmetadata: {name: sr}\n",
          "which has U+0441 (not an ASCII character): want StarRocksCluster");
  refused("another version", "apiVersion: starrocks.com/v9\nkind: StarRocksCluster\nmetadata: {name: sr}\n",
          "apiVersion \"starrocks.com/v9\" of a StarRocksCluster: want starrocks.com/v1");
  refused("the items misspelt", "apiVersion: v1\nkind: List\nitem:\n" + kFullItem,
          "the list: invalid value \"item\": want items");
  const auto hooks = [](const std::string& labels, const std::string& data) {
    return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: h, labels: {" + labels + "}}\n" + data + "\n";
  };
  const std::string kLabelled = "starrocks.com/upgrade-hooks: 'true'";
  refused(
      "a label that is a truth value", hooks("starrocks.com/upgrade-hooks: true", "data: {a.sql: SHOW FRONTENDS}"),
      "ConfigMap h: metadata.labels[starrocks.com/upgrade-hooks]: invalid value \"true\": want a string, in quotes");
  refused("a label in capitals", hooks("starrocks.com/upgrade-hooks: 'True'", "data: {a.sql: SHOW FRONTENDS}"),
          "invalid value \"True\": want \"true\" or \"false\"", true);
  refused("a label misspelt", hooks("starrocks.com/upgrade-hook: 'true'", "data: {a.sql: SHOW FRONTENDS}"),
          "metadata.labels: invalid value \"starrocks.com/upgrade-hook\": want starrocks.com/upgrade-hooks", true);
  refused("hooks that are a number", hooks(kLabelled, "data: {a.sql: 5}"),
          "line 1: data[a.sql]: invalid value \"5\": want a string, in quotes: \"5\" (in ConfigMap default/h)");
  refused("hooks that are YAML instead of a text with YAML", hooks(kLabelled, "data: {a.yaml: {hooks: []}}"),
          "data[a.yaml]: invalid value \"{\"hooks\":[]}\": want a string (in ConfigMap default/h)");
  refused("data that is a list", hooks(kLabelled, "data: [a]"), "data: invalid value");
  refused("data misspelt", hooks(kLabelled, "dat: {a.sql: SHOW FRONTENDS}"),
          "the manifest: invalid value \"dat\": want data", true);
  refused("hooks as bytes", hooks(kLabelled, "binaryData: {a.sql: U0hPVyBGUk9OVEVORFM=}"),
          "binaryData: invalid value \"a.sql\": want hooks in data, as text in UTF-8", true);
  refused("JSON that is cut", R"({"apiVersion": "v1", "kind": )", "line 1, column 30: not JSON");
  refused("an unquoted template", kCluster + "---\nkind: {{ .Values.kind }}\n", "line ");
  return shapes;
}

}  // namespace gate::test
