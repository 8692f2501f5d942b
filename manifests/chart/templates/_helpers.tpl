{{/*
The objects are those of manifests/base (files/ links to them), changed where a value says so: what both have in common
cannot differ. Names are fixed: webhook configurations are cluster-wide, and two gates would hold each other's changes.
*/}}

{{/* The namespace that manifests/base is written for. */}}
{{- define "upgrade-gate.base-namespace" -}}starrocks-upgrade-gate{{- end }}

{{- define "upgrade-gate.image" -}}
{{- $image := .Values.image.repository }}
{{- if .Values.image.registry }}{{ $image = printf "%s/%s" .Values.image.registry $image }}{{ end }}
{{- if .Values.image.digest }}{{ printf "%s@%s" $image .Values.image.digest }}
{{- else }}{{ printf "%s:%s" $image (.Values.image.tag | default .Chart.AppVersion) }}{{ end }}
{{- end }}

{{- define "upgrade-gate.labels" -}}
{{- $own := dict "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version) "app.kubernetes.io/name" "upgrade-gate" }}
{{- $_ := set $own "app.kubernetes.io/instance" .Release.Name }}
{{- $_ := set $own "app.kubernetes.io/version" .Chart.AppVersion }}
{{- $_ := set $own "app.kubernetes.io/part-of" "starrocks-upgrade-gate" }}
{{- $_ := set $own "app.kubernetes.io/managed-by" .Release.Service }}
{{- toYaml (merge (deepCopy .Values.commonLabels) $own) }}
{{- end }}

{{/* The same and `more`, which count first: (dict "root" $ "more" $labels). A key twice is no YAML to kustomize. */}}
{{- define "upgrade-gate.labels-and" -}}
{{- toYaml (merge (deepCopy (.more | default dict)) (include "upgrade-gate.labels" .root | fromYaml)) }}
{{- end }}

{{/* The Secret with the served certificate. */}}
{{- define "upgrade-gate.secret" -}}
{{- if eq .Values.certificates.source "existing" }}{{ .Values.certificates.secretName }}{{ else }}upgrade-gate-tls{{ end }}
{{- end }}

{{/*
The environment of a container, as YAML of {env: [...]}: what values ask for, and extraEnv.
*/}}
{{- define "upgrade-gate.env" -}}
{{- $env := list }}
{{- with .Values.tracing }}
{{- if .endpoint }}
{{- $env = append $env (dict "name" "OTEL_EXPORTER_OTLP_ENDPOINT" "value" .endpoint) }}
{{- with .sampler }}{{ $env = append $env (dict "name" "OTEL_TRACES_SAMPLER" "value" .) }}{{ end }}
{{- with .samplerArg }}{{ $env = append $env (dict "name" "OTEL_TRACES_SAMPLER_ARG" "value" .) }}{{ end }}
{{- with .headersSecret }}
{{- $from := dict "secretKeyRef" (dict "name" . "key" "headers") }}
{{- $env = append $env (dict "name" "OTEL_EXPORTER_OTLP_HEADERS" "valueFrom" $from) }}
{{- end }}
{{- end }}
{{- end }}
{{- toYaml (dict "env" (concat $env .Values.extraEnv)) }}
{{- end }}

{{/*
One object, labelled: (dict "root" $ "object" $object).
*/}}
{{- define "upgrade-gate.object" -}}
{{- $labels := include "upgrade-gate.labels" .root | fromYaml }}
{{- $_ := set .object.metadata "labels" (merge $labels (.object.metadata.labels | default dict)) }}
---
{{ toYaml .object }}
{{- end }}

{{/*
The documents of a file of manifests/base, in the release's namespace: (dict "root" $ "file" "files/rbac.yaml") as YAML
of {items: [...]}.
*/}}
{{- define "upgrade-gate.documents" -}}
{{- $text := .root.Files.Get .file | required (printf "%s is not in the chart: package it from its folder in the repository" .file) }}
{{- $text = $text | replace (include "upgrade-gate.base-namespace" .root) .root.Release.Namespace }}
items:
{{- range $document := regexSplit "(?m)^---\\s*$" $text -1 }}
{{- $object := fromYaml $document }}
{{- if $object }}
- {{ toYaml $object | nindent 2 | trim }}
{{- end }}
{{- end }}
{{- end }}
