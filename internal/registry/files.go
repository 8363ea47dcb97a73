package registry

import (
	"encoding/json"
	"path"
)

// Files are the whole registry as files for a web server whose index is index.json, by their path there. There are no
// pages and no searches then: the list has everything.
func (g *Registry) Files() (map[string][]byte, error) {
	all := list{Servers: []Entry{}}
	files := map[string]any{}
	for _, s := range g.sorted() {
		e := s.entry(g.Since)
		all.Servers = append(all.Servers, e)
		at := path.Join(Path, e.Server.Name, "versions")
		files[path.Join(at, "index.json")] = list{[]Entry{e}, metadata{Count: 1}}
		files[path.Join(at, "latest", "index.json")] = e
		files[path.Join(at, e.Server.Version, "index.json")] = e
	}
	all.Metadata.Count = len(all.Servers)
	files[path.Join(Path, "index.json")] = all
	out := map[string][]byte{}
	for at, v := range files {
		text, err := json.MarshalIndent(v, "", "  ")
		if err != nil {
			return nil, err
		}
		out[at[1:]] = append(text, '\n')
	}
	return out, nil
}
