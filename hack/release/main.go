// Command release makes everything a release holds, without a Docker daemon and without a network: archives for each
// platform with completions and man pages, deb and rpm, a container image for two architectures as an OCI archive, a
// chart and manifests for clusters, a list of what is inside (SBOM), the changelog, and checksums of all. It does not
// sign or publish anything.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// platforms are those there are archives for; the image has the Linux ones.
var platforms = []platform{
	{"linux", "amd64"}, {"linux", "arm64"}, {"darwin", "amd64"}, {"darwin", "arm64"}, {"windows", "amd64"}, {"windows", "arm64"},
}

type platform struct{ os, arch string }

func (p platform) String() string { return p.os + "_" + p.arch }

// release is one release on its way.
type release struct {
	version string // v1.2.3
	commit  string
	date    time.Time // of the commit, so that the same commit makes the same files
	out     string
	nfpm    string // the program that makes deb and rpm; none without it
	roots   string // files of the authorities that the image trusts, as a pattern
}

func main() {
	r := release{roots: mozilla}
	flag.StringVar(&r.version, "version", "", "version, like v1.2.3")
	flag.StringVar(&r.out, "out", "dist", "folder for the result; it must not be there")
	flag.StringVar(&r.nfpm, "nfpm", "", "path of nfpm, which makes deb and rpm")
	flag.Parse()
	if err := r.make(); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

var semver = regexp.MustCompile(`^v(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?$`)

func (r *release) make() error {
	if !semver.MatchString(r.version) {
		return fmt.Errorf("-version %q is no version; write it like v1.2.3", r.version)
	}
	if err := os.Mkdir(r.out, 0o755); err != nil {
		return fmt.Errorf("%w; remove it, or choose another folder with -out", err)
	}
	head, err := output("git", "log", "-1", "--format=%H %ct")
	if err != nil {
		return err
	}
	var seconds int64
	if _, err := fmt.Sscanf(head, "%s %d", &r.commit, &seconds); err != nil {
		return fmt.Errorf("read the commit %q: %w", head, err)
	}
	r.date = time.Unix(seconds, 0).UTC()
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"build", r.build},
		{"completions and man pages", r.pages},
		{"archives", r.archives},
		{"packages", r.packages},
		{"image", r.image},
		{"chart and manifests", r.cluster},
		{"list of modules", r.sbom},
		{"changelog", r.changelog},
		{"checksums", r.checksums},
	} {
		fmt.Fprintln(os.Stderr, "==>", step.name)
		if err := step.do(); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return os.RemoveAll(r.work())
}

// work is where what goes into archives is put together.
func (r *release) work() string { return filepath.Join(r.out, "work") }

// binaries is where the programs of a platform are.
func (r *release) binaries(p platform) string { return filepath.Join(r.work(), p.String()) }

func (r *release) build() error {
	const at = "github.com/sallyport-dev/sallyport/internal/version."
	flags := fmt.Sprintf("-s -w -X %sstamped=%s -X %scommit=%s -X %sdate=%s", at, r.version, at, r.commit, at, r.date.Format(time.RFC3339))
	for _, p := range platforms {
		if err := os.MkdirAll(r.binaries(p), 0o755); err != nil {
			return err
		}
		profile := "off"
		if p.os == "linux" { // where gateways serve many
			profile = "bench/cpu.pgo"
		}
		cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-pgo", profile, "-ldflags", flags, "-o", r.binaries(p)+"/", "./cmd/sallyport", "./cmd/sallyportd")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+p.os, "GOARCH="+p.arch)
		cmd.Stderr = os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
	}
	return nil
}

// file is the path of one thing of the release.
func (r *release) file(rest string) string {
	return filepath.Join(r.out, "sallyport_"+strings.TrimPrefix(r.version, "v")+rest)
}

func (r *release) packages() error {
	if r.nfpm == "" {
		return nil
	}
	for _, p := range platforms {
		if p.os != "linux" {
			continue
		}
		for _, kind := range []string{"deb", "rpm"} {
			cmd := exec.Command(r.nfpm, "package", "--config", "deploy/package/nfpm.yaml", "--packager", kind, "--target", r.file("_"+p.String()+"."+kind))
			cmd.Env = append(os.Environ(), "VERSION="+r.version, "ARCH="+p.arch, "BINARIES="+r.binaries(p), "PAGES="+r.work(),
				fmt.Sprintf("SOURCE_DATE_EPOCH=%d", r.date.Unix())) // the same commit, the same package
			if text, err := cmd.CombinedOutput(); err != nil {
				return fmt.Errorf("%s for %s: %w: %s", kind, p, err, text)
			}
		}
	}
	return nil
}

func output(name string, args ...string) (string, error) {
	text, err := exec.Command(name, args...).Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(text)), nil
}
