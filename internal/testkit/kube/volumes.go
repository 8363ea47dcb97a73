package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// volume is one of a pod.
type volume struct {
	Name      string
	EmptyDir  *struct{}
	Projected *struct{ Sources []source }
	source
}

// source is where files of a volume come from.
type source struct {
	ConfigMap           *filesOf
	Secret              *filesOf
	ServiceAccountToken *struct{ Audience, Path string }
}

type filesOf struct {
	Name, SecretName string // one of both
	Optional         bool
	Items            []struct{ Key, Path string }
}

// mountedVolume is a folder whose files are exchanged as a kubelet does it: they are links into a folder that a link,
// ..data, leads to, and the link is changed at once.
type mountedVolume struct {
	dir   string
	files map[string][]byte
	turn  int
	token map[string][]byte // by path; asked for once
}

// layOut brings the files of all volumes up to date.
func (r *runningPod) layOut(ctx context.Context) error {
	for _, v := range r.spec.Spec.Volumes {
		dir := r.volumeDir(v.Name)
		m := r.volumes[v.Name]
		if m == nil {
			if err := os.MkdirAll(dir, 0o700); err != nil {
				return err
			}
			m = &mountedVolume{dir: dir, token: map[string][]byte{}}
			r.volumes[v.Name] = m
		}
		sources := []source{v.source}
		if v.Projected != nil {
			sources = v.Projected.Sources
		}
		files := map[string][]byte{}
		for _, s := range sources {
			if err := r.read(ctx, m, s, files); err != nil {
				return fmt.Errorf("volume %s: %w", v.Name, err)
			}
		}
		if v.EmptyDir != nil {
			continue
		}
		if err := m.exchange(files); err != nil {
			return err
		}
	}
	return nil
}

// read adds the files of a source.
func (r *runningPod) read(ctx context.Context, m *mountedVolume, s source, files map[string][]byte) error {
	of, kind := s.ConfigMap, "ConfigMap"
	if s.Secret != nil {
		of, kind = s.Secret, "Secret"
	}
	if t := s.ServiceAccountToken; t != nil {
		if m.token[t.Path] == nil {
			token, err := r.token(ctx, t.Audience)
			if err != nil {
				return err
			}
			m.token[t.Path] = []byte(token)
		}
		files[t.Path] = m.token[t.Path]
		return nil
	}
	if of == nil {
		return nil
	}
	name := of.Name + of.SecretName
	data, err := r.node.data(ctx, kind, name)
	if err != nil {
		return err
	}
	if data == nil && !of.Optional {
		return fmt.Errorf("there is no %s %s", kind, name)
	}
	if kind == "ConfigMap" {
		for key, text := range data {
			data[key] = r.node.here(text)
		}
	}
	if len(of.Items) == 0 {
		maps.Copy(files, data)
	}
	for _, item := range of.Items {
		value, ok := data[item.Key]
		if ok {
			files[item.Path] = value
		} else if !of.Optional {
			return fmt.Errorf("%s %s has no key %s", kind, name, item.Key)
		}
	}
	return nil
}

// token is one of the pod's account, for an audience.
func (r *runningPod) token(ctx context.Context, audience string) (string, error) {
	spec := map[string]any{}
	if audience != "" {
		spec["audiences"] = []string{audience}
	}
	body, err := json.Marshal(map[string]any{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec})
	if err != nil {
		return "", err
	}
	text, err := r.node.plane.ask(ctx, http.MethodPost, Ref{"v1", "ServiceAccount", r.node.namespace, r.spec.Spec.ServiceAccountName, "token"}, nil, "application/json", body)
	var answer struct{ Status struct{ Token string } }
	if err == nil {
		err = json.Unmarshal(text, &answer)
	}
	return answer.Status.Token, err
}

// exchange puts these files in the place of the others.
func (m *mountedVolume) exchange(files map[string][]byte) error {
	if m.files != nil && maps.EqualFunc(m.files, files, slices.Equal) {
		return nil
	}
	m.turn++
	turn := fmt.Sprintf("..%d", m.turn)
	tops := map[string]bool{}
	for path, text := range files {
		file := filepath.Join(m.dir, turn, path)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(file, text, 0o600); err != nil {
			return err
		}
		top, _, _ := strings.Cut(path, "/")
		tops[top] = true
	}
	if err := os.MkdirAll(filepath.Join(m.dir, turn), 0o700); err != nil { // there may be no files
		return err
	}
	if err := os.Symlink(turn, filepath.Join(m.dir, "..next")); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(m.dir, "..next"), filepath.Join(m.dir, "..data")); err != nil {
		return err
	}
	for top := range tops {
		if err := os.Symlink(filepath.Join("..data", top), filepath.Join(m.dir, top)); err != nil && !os.IsExist(err) {
			return err
		}
	}
	entries, err := os.ReadDir(m.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if name := e.Name(); name != "..data" && name != turn && !tops[name] {
			if err := os.RemoveAll(filepath.Join(m.dir, name)); err != nil {
				return err
			}
		}
	}
	m.files = files
	return nil
}
