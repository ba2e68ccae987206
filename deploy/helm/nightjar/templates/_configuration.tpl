{{/* config.yaml: the values' config over what differs in a pod from the sensor's own defaults. */}}
{{- define "nightjar.configuration" -}}
{{- $inPod := dict
  "metrics" (dict "address" "0.0.0.0:9464")
  "kubernetes" (dict "enabled" "auto")
  "exporters" (dict "stdout" (dict "format" "json"))
  "presenceFile" "/var/lib/nightjar/presence"
-}}
{{- with .Values.runtimeSocket }}{{ $_ := set $inPod "cri" (dict "socket" (printf "/host/runtime/%s" (base .))) }}{{ end }}
{{- if .Values.readTokenSecrets }}{{ $_ := set $inPod.kubernetes "tokenSecrets" true }}{{ end }}
{{- mustMergeOverwrite $inPod (deepCopy .Values.config) | toYaml }}
{{- end }}

{{- define "nightjar.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{/* The port that metrics and health answer on. */}}
{{- define "nightjar.port" -}}
{{- (include "nightjar.configuration" . | fromYaml).metrics.address | regexFind "[0-9]+$" }}
{{- end }}
