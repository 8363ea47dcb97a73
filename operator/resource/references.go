package resource

import (
	"reflect"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/manifest"
)

// kindOf says which kind a field of type ObjectRef names. A test holds that every such
// field is here.
var kindOf = map[string]string{
	"authzConfigRef":        "MCPAuthzConfig",
	"externalAuthConfigRef": "MCPExternalAuthConfig",
	"gatewayRef":            "MCPGateway",
	"groupRef":              "MCPGroup",
	"toolConfigRef":         "MCPToolConfig",
	"imagePullSecrets":      "", // the kubelet's
}

// Kind is which kind a field of type ObjectRef names; "" for one that is not ours to follow.
func Kind(field string) (kind string, known bool) {
	kind, known = kindOf[field]
	return kind, known
}

// References are what a resource names, wherever in it. They stay in its namespace.
func References(namespace string, spec any) []manifest.Use {
	var all []manifest.Use
	walkRefs(reflect.ValueOf(spec), "", func(kind, name, key string) {
		if kind != "" && name != "" {
			all = append(all, manifest.Use{Kind: kind, Namespace: namespace, Name: name, Key: key})
		}
	})
	return all
}

// walkRefs calls found for every reference within v, which stands in a field.
func walkRefs(v reflect.Value, field string, found func(kind, name, key string)) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			walkRefs(v.Elem(), field, found)
		}
	case reflect.Slice:
		for i := range v.Len() {
			walkRefs(v.Index(i), field, found)
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			walkRefs(v.MapIndex(k), field, found)
		}
	case reflect.Struct:
		switch ref := v.Interface().(type) {
		case v1alpha1.ObjectRef:
			found(kindOf[field], string(ref.Name), "")
		case v1alpha1.SecretKeyRef:
			found("Secret", string(ref.Name), string(ref.Key))
		case v1alpha1.SecretEnv:
			found("Secret", string(ref.Name), string(ref.Key))
		case v1alpha1.ConfigMapKeyRef:
			found("ConfigMap", string(ref.Name), string(ref.Key))
		case v1alpha1.AuthzConfigMap:
			found("ConfigMap", string(ref.Name), string(ref.Key))
		case v1alpha1.OIDCConfigRef:
			found("MCPOIDCConfig", string(ref.Name), "")
		case v1alpha1.AuthServerRef:
			found("MCPExternalAuthConfig", string(ref.Name), "")
		case v1alpha1.CompositeToolRef:
			found("VirtualMCPCompositeToolDefinition", string(ref.Name), "")
		case v1alpha1.GatewayTLS:
			found("Secret", string(ref.SecretName), corev1.TLSCertKey)
			found("Secret", string(ref.SecretName), corev1.TLSPrivateKeyKey)
			walkFields(v, found)
		case v1alpha1.TelemetryConfigRef:
			found("MCPTelemetryConfig", string(ref.Name), "")
		default:
			walkFields(v, found)
		}
	}
}

func walkFields(v reflect.Value, found func(kind, name, key string)) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if !f.IsExported() {
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		walkRefs(v.Field(i), name, found)
	}
}
