package render

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/strategicpatch"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
)

// TemplateError says what of podTemplateSpec fits no pod.
type TemplateError struct{ Err error }

func (e TemplateError) Error() string { return "spec.podTemplateSpec: " + e.Err.Error() }

// Unwrap is what is wrong.
func (e TemplateError) Unwrap() error { return e.Err }

// merge merges what a manifest says of the pods into their template, as kubectl patch
// does. Fields that no pod has are refused: they are misspelt.
func merge(template corev1.PodTemplateSpec, with json.RawMessage) (corev1.PodTemplateSpec, error) {
	if len(with) == 0 {
		return template, nil
	}
	if err := readable(with); err != nil {
		return template, TemplateError{err}
	}
	base, err := json.Marshal(template)
	if err != nil {
		return template, TemplateError{err}
	}
	merged, err := strategicpatch.StrategicMergePatch(base, with, corev1.PodTemplateSpec{})
	if err != nil {
		return template, TemplateError{err}
	}
	var out corev1.PodTemplateSpec
	if err := json.Unmarshal(merged, &out); err != nil {
		return template, TemplateError{err}
	}
	own := ""
	for _, c := range template.Spec.Containers {
		if c.Name == Container {
			own = c.Image
		}
	}
	return out, whole(&out.Spec, own)
}

// readable reads a template strictly.
func readable(raw json.RawMessage) error {
	var values map[string]any
	if err := json.Unmarshal(raw, &values); err != nil {
		return err
	}
	if err := quantities("", values); err != nil {
		return err
	}
	strict := json.NewDecoder(bytes.NewReader(raw))
	strict.DisallowUnknownFields()
	return strict.Decode(&corev1.PodTemplateSpec{})
}

// quantities checks amounts, of which the decoder says neither which one nor where.
func quantities(path string, v any) error {
	switch v := v.(type) {
	case map[string]any:
		for _, name := range sorted(v) {
			at := name
			if path != "" {
				at = path + "." + name
			}
			amounts, ok := v[name].(map[string]any)
			if ok && (name == "limits" || name == "requests") {
				for _, of := range sorted(amounts) {
					if text, ok := amounts[of].(string); ok {
						if _, err := resource.ParseQuantity(text); err != nil {
							return fmt.Errorf("%s.%s: %q is no amount, like 500m or 128Mi", at, of, text)
						}
					}
				}
				continue
			}
			if err := quantities(at, v[name]); err != nil {
				return err
			}
		}
	case []any:
		for i, item := range v {
			if err := quantities(fmt.Sprintf("%s[%d]", path, i), item); err != nil {
				return err
			}
		}
	}
	return nil
}

// whole refuses what the API server would refuse in words of its own, and another image of
// the gateway than own: an older one would not know the flags that it is started with.
func whole(pod *corev1.PodSpec, own string) error {
	for _, list := range []struct {
		field      string
		containers []corev1.Container
	}{{"containers", pod.Containers}, {"initContainers", pod.InitContainers}} {
		for _, c := range list.containers {
			at := fmt.Sprintf("spec.%s[%s]", list.field, c.Name)
			if c.Name == Container && list.field == "containers" && c.Image != own {
				return TemplateError{fmt.Errorf("%s.image: is the operator's --image, whose version goes with what it runs; remove it", at)}
			}
			if c.Image == "" {
				return TemplateError{fmt.Errorf("%s: it has no image; the gateway's container is named %s, a server's %s", at, Container, ServerContainer)}
			}
			if name := twice(c.Env, func(v corev1.EnvVar) string { return v.Name }); name != "" {
				return TemplateError{fmt.Errorf("%s.env: %s is set twice; keep one", at, name)}
			}
			if name := twice(c.VolumeMounts, func(m corev1.VolumeMount) string { return m.MountPath }); name != "" {
				return TemplateError{fmt.Errorf("%s.volumeMounts: something is mounted at %s already; choose another mountPath", at, name)}
			}
		}
	}
	if name := twice(pod.Volumes, func(v corev1.Volume) string { return v.Name }); name != "" {
		return TemplateError{fmt.Errorf("spec.volumes: there are two of the name %s; rename one", name)}
	}
	return nil
}

// twice is the name of the first that there are two of; "" for none.
func twice[T any](list []T, name func(T) string) string {
	var seen []string
	for _, v := range list {
		if slices.Contains(seen, name(v)) {
			return name(v)
		}
		seen = append(seen, name(v))
	}
	return ""
}

// Split divides the podTemplateSpec of a server in a container: the gateway's container
// is the gateway's, everything else the server's.
func Split(with *v1alpha1.FreeForm) (gateway, server json.RawMessage, err error) {
	if with == nil || len(with.Raw) == 0 {
		return nil, nil, nil
	}
	var template struct {
		Metadata json.RawMessage            `json:"metadata,omitempty"`
		Spec     map[string]json.RawMessage `json:"spec,omitempty"`
	}
	strict := json.NewDecoder(bytes.NewReader(with.Raw))
	strict.DisallowUnknownFields()
	if err := strict.Decode(&template); err != nil {
		return nil, nil, TemplateError{err}
	}
	var containers []map[string]any
	if raw, ok := template.Spec["containers"]; ok {
		if err := json.Unmarshal(raw, &containers); err != nil {
			return nil, nil, TemplateError{fmt.Errorf("spec.containers: %w", err)}
		}
	}
	isGateway := func(c map[string]any) bool { return c["name"] == Container }
	if mine := slices.DeleteFunc(slices.Clone(containers), func(c map[string]any) bool { return !isGateway(c) }); len(mine) > 0 {
		if gateway, err = json.Marshal(map[string]any{"spec": map[string]any{"containers": mine}}); err != nil {
			return nil, nil, TemplateError{err}
		}
		rest, err := json.Marshal(slices.DeleteFunc(containers, isGateway))
		if err != nil {
			return nil, nil, TemplateError{err}
		}
		template.Spec["containers"] = rest
	}
	if server, err = json.Marshal(template); err != nil {
		return nil, nil, TemplateError{err}
	}
	return gateway, server, nil
}
