package v1alpha1_test

import (
	"encoding/json"
	"io/fs"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
)

// kinds are an object and a list of each.
func kinds() map[string][2]runtime.Object {
	return map[string][2]runtime.Object{
		"MCPRemoteProxy":                    {&v1alpha1.MCPRemoteProxy{}, &v1alpha1.MCPRemoteProxyList{}},
		"MCPServer":                         {&v1alpha1.MCPServer{}, &v1alpha1.MCPServerList{}},
		"MCPServerEntry":                    {&v1alpha1.MCPServerEntry{}, &v1alpha1.MCPServerEntryList{}},
		"MCPExternalAuthConfig":             {&v1alpha1.MCPExternalAuthConfig{}, &v1alpha1.MCPExternalAuthConfigList{}},
		"MCPToolConfig":                     {&v1alpha1.MCPToolConfig{}, &v1alpha1.MCPToolConfigList{}},
		"MCPAuthzConfig":                    {&v1alpha1.MCPAuthzConfig{}, &v1alpha1.MCPAuthzConfigList{}},
		"MCPTelemetryConfig":                {&v1alpha1.MCPTelemetryConfig{}, &v1alpha1.MCPTelemetryConfigList{}},
		"MCPGroup":                          {&v1alpha1.MCPGroup{}, &v1alpha1.MCPGroupList{}},
		"VirtualMCPServer":                  {&v1alpha1.VirtualMCPServer{}, &v1alpha1.VirtualMCPServerList{}},
		"VirtualMCPCompositeToolDefinition": {&v1alpha1.VirtualMCPCompositeToolDefinition{}, &v1alpha1.VirtualMCPCompositeToolDefinitionList{}},
		"MCPOIDCConfig":                     {&v1alpha1.MCPOIDCConfig{}, &v1alpha1.MCPOIDCConfigList{}},
		"MCPGateway":                        {&v1alpha1.MCPGateway{}, &v1alpha1.MCPGatewayList{}},
	}
}

// The schemas have the fields that the Go types have, and no others: neither was
// changed without "go generate ./api/...".
func TestSchemasMatchTypes(t *testing.T) {
	t.Parallel()
	files, err := fs.Glob(v1alpha1.CRDs, "crds/*.json")
	if err != nil || len(files) != len(kinds()) {
		t.Fatalf("CRDs: %v (%v), want one per kind", files, err)
	}
	for _, file := range files {
		var crd struct {
			Spec struct {
				Names    struct{ Kind string }
				Versions []struct {
					Schema struct{ OpenAPIV3Schema schema }
				}
			}
		}
		text, err := v1alpha1.CRDs.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &crd); err != nil {
			t.Fatal(err)
		}
		object, ok := kinds()[crd.Spec.Names.Kind]
		if !ok {
			t.Errorf("%s is of the unknown kind %q", file, crd.Spec.Names.Kind)
			continue
		}
		spec, _ := reflect.TypeOf(object[0]).Elem().FieldByName("Spec")
		compare(t, crd.Spec.Names.Kind+".spec", spec.Type, crd.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"])
	}
}

type schema struct {
	Type                 string
	Properties           map[string]schema
	Items                *schema
	AdditionalProperties *schema
}

// compare compares the fields of a Go type with those of a schema.
func compare(t *testing.T, path string, goType reflect.Type, s schema) {
	t.Helper()
	switch goType.Kind() {
	case reflect.Pointer:
		compare(t, path, goType.Elem(), s)
	case reflect.Slice:
		if s.Items == nil {
			t.Errorf("%s: the schema has no list", path)
			return
		}
		compare(t, path+"[]", goType.Elem(), *s.Items)
	case reflect.Map:
		if s.AdditionalProperties == nil {
			t.Errorf("%s: the schema has no mapping", path)
			return
		}
		compare(t, path+"{}", goType.Elem(), *s.AdditionalProperties)
	case reflect.Struct:
		fields := map[string]reflect.Type{}
		for _, field := range reflect.VisibleFields(goType) {
			if name, _, _ := strings.Cut(field.Tag.Get("json"), ","); name != "" && name != "-" { // else it is inline, or no field of JSON
				fields[name] = field.Type
			}
		}
		if diff := cmp.Diff(slices.Sorted(maps.Keys(fields)), slices.Sorted(maps.Keys(s.Properties))); diff != "" {
			t.Errorf("%s: fields of the type (-) and of the schema (+):\n%s", path, diff)
		}
		for name, fieldType := range fields {
			compare(t, path+"."+name, fieldType, s.Properties[name])
		}
	default:
		want := map[reflect.Kind]string{reflect.String: "string", reflect.Bool: "boolean", reflect.Int32: "integer"}[goType.Kind()]
		if s.Type != want {
			t.Errorf("%s: the type is %s, and the schema says %s", path, goType.Kind(), s.Type)
		}
	}
}

// A copy is equal to the original and shares nothing with it.
func TestDeepCopy(t *testing.T) {
	t.Parallel()
	for kind, objects := range kinds() {
		for _, object := range objects {
			original := reflect.New(reflect.TypeOf(object).Elem()).Interface()
			fill(reflect.ValueOf(original).Elem(), 0)
			fill(reflect.ValueOf(object).Elem(), 0)
			copied := object.DeepCopyObject()
			if diff := cmp.Diff(original, any(copied)); diff != "" {
				t.Errorf("%s: the copy differs; run go generate ./api/...:\n%s", kind, diff)
			}
			scramble(reflect.ValueOf(copied).Elem())
			if diff := cmp.Diff(original, any(object)); diff != "" {
				t.Errorf("%s: changing the copy changed the original; run go generate ./api/...:\n%s", kind, diff)
			}
		}
	}
}

// fill puts something into every field, lists and mappings included.
func fill(v reflect.Value, depth int) {
	if depth > 12 || !v.CanSet() {
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString("text")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int32, reflect.Int64:
		v.SetInt(1)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), depth+1)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), depth+1)
	case reflect.Map:
		value := reflect.New(v.Type().Elem()).Elem()
		fill(value, depth+1)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("key").Convert(v.Type().Key()), value)
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), depth+1)
		}
	}
}

// scramble changes what can be reached through pointers, lists and mappings.
func scramble(v reflect.Value) {
	if !v.CanInterface() {
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			scramble(v.Elem())
			v.Elem().SetZero()
		}
	case reflect.Slice:
		for i := range v.Len() {
			scramble(v.Index(i))
			v.Index(i).SetZero()
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			scramble(v.MapIndex(key))
			v.SetMapIndex(key, reflect.Value{})
		}
	case reflect.Struct:
		for i := range v.NumField() {
			scramble(v.Field(i))
		}
	}
}
