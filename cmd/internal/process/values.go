package process

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/sallyport-dev/sallyport/internal/manifest"
)

// value is a flag that is judged when it is set, on the command line or by the
// environment: what cannot work is refused before anything starts (REQ G-6).
type value[T any] struct {
	into *T
	kind string
	read func(string) (T, error)
	show func(T) string
}

func (v *value[T]) String() string {
	if v.into == nil {
		return ""
	}
	return v.show(*v.into)
}

func (v *value[T]) Type() string { return v.kind }

func (v *value[T]) Set(text string) error {
	got, err := v.read(strings.TrimSpace(text))
	if err == nil {
		*v.into = got
	}
	return err
}

// AddressVar adds a flag for an address to listen at; one that may be empty is for none,
// or off in a variable, which counts as not set where it is empty.
func AddressVar(fs *pflag.FlagSet, into *string, name string, mayBeEmpty bool, usage string) {
	read := func(text string) (string, error) {
		if mayBeEmpty && (text == "" || text == "off") {
			return "", nil
		}
		return readAddress(text)
	}
	fs.Var(&value[string]{into, "address", read, verbatim}, name, usage)
}

func verbatim(s string) string { return s }

func readAddress(text string) (string, error) {
	_, port, err := net.SplitHostPort(text)
	if n, no := strconv.ParseUint(port, 10, 16); err != nil || no != nil || n > math.MaxUint16 {
		return "", errors.New("must be an address and a port; write it like 127.0.0.1:8080, or :8080 for every address")
	}
	return text, nil
}

// sizeVar adds a flag for a number of bytes, at least least.
func sizeVar[T int | int64](fs *pflag.FlagSet, into *T, name string, least int64, usage string) {
	read := func(text string) (T, error) {
		n, err := ParseSize(text)
		if err == nil && (n < least || int64(T(n)) != n) {
			err = fmt.Errorf("must be at least %d bytes; write it like 8MiB", least)
		}
		return T(n), err
	}
	fs.Var(&value[T]{into, "size", read, func(n T) string { return formatSize(int64(n)) }}, name, usage)
}

var (
	size  = regexp.MustCompile(`^([0-9]{1,18})(?:\.([0-9]{1,3}))? ?([A-Za-z]*)$`)
	units = []struct {
		names []string
		bytes int64
	}{
		{[]string{"gib", "gi"}, 1 << 30},
		{[]string{"mib", "mi"}, 1 << 20},
		{[]string{"kib", "ki"}, 1 << 10},
		{[]string{"", "b"}, 1},
		{[]string{"kb", "k"}, 1e3},
		{[]string{"mb", "m"}, 1e6},
		{[]string{"gb", "g"}, 1e9},
	}
)

// ParseSize reads a number of bytes: 8388608, 8MiB, 8Mi (as Kubernetes writes it), 8MB.
func ParseSize(text string) (int64, error) {
	refused := errors.New("must be a number of bytes; write it like 8388608 or 8MiB")
	m := size.FindStringSubmatch(text)
	if m == nil {
		return 0, refused
	}
	for _, u := range units {
		if !slices.Contains(u.names, strings.ToLower(m[3])) {
			continue
		}
		n, err := strconv.ParseFloat(m[1]+"."+m[2], 64)
		if n *= float64(u.bytes); err != nil || n >= math.MaxInt64 || n != math.Trunc(n) {
			return 0, refused
		}
		return int64(n), nil
	}
	return 0, refused
}

// formatSize is the shortest way to write a number of bytes exactly.
func formatSize(n int64) string {
	for _, u := range units[:3] {
		if n != 0 && n%u.bytes == 0 {
			return fmt.Sprintf("%d%s", n/u.bytes, map[int64]string{1 << 30: "GiB", 1 << 20: "MiB", 1 << 10: "KiB"}[u.bytes])
		}
	}
	return strconv.FormatInt(n, 10)
}

// NumberVar adds a flag for a whole number between least and most.
func NumberVar[T int | int64](fs *pflag.FlagSet, into *T, name string, least, most int64, usage string) {
	NumberVarP(fs, into, name, "", least, most, usage)
}

// NumberVarP is [NumberVar] with a shorthand.
func NumberVarP[T int | int64](fs *pflag.FlagSet, into *T, name, short string, least, most int64, usage string) {
	read := func(text string) (T, error) {
		n, err := strconv.ParseInt(text, 10, 64)
		switch {
		case err != nil:
			return 0, errors.New("must be a whole number")
		case n < least:
			return 0, fmt.Errorf("must be at least %d", least)
		case n > most:
			return 0, fmt.Errorf("must be at most %d", most)
		}
		return T(n), nil
	}
	fs.VarP(&value[T]{into, "int", read, func(n T) string { return strconv.FormatInt(int64(n), 10) }}, name, short, usage)
}

// DurationVar adds a flag for a time, at least least.
func DurationVar(fs *pflag.FlagSet, into *time.Duration, name string, least time.Duration, usage string) {
	read := func(text string) (time.Duration, error) {
		d, err := time.ParseDuration(text)
		switch _, plain := strconv.ParseFloat(text, 64); {
		case err != nil && plain == nil:
			return 0, fmt.Errorf("has no unit; write it like %ss or %sms", text, text)
		case err != nil:
			return 0, errors.New("must be a time; write it like 90s, 2m30s or 24h")
		case d < 0:
			return 0, errors.New("must not be negative; write it like 30s")
		case d < least:
			return 0, errors.New("must be more than 0; write it like 30s")
		}
		return d, nil
	}
	show := func(d time.Duration) string {
		if d == 0 {
			return "0"
		}
		return d.String()
	}
	fs.Var(&value[time.Duration]{into, "duration", read, show}, name, usage)
}

// choice is a flag that takes one of a few words.
type choice struct {
	value[string]
	options []string
}

// ChoiceVar adds a flag that takes one of a few words. Shells complete them.
func ChoiceVar(fs *pflag.FlagSet, into *string, name, short, usage string, options ...string) {
	read := func(text string) (string, error) {
		if slices.Contains(options, text) {
			return text, nil
		}
		return "", fmt.Errorf("%q is not one of %s%s", text, strings.Join(options, ", "), manifest.DidYouMean(text, options))
	}
	fs.VarP(&choice{value[string]{into, "string", read, verbatim}, options}, name, short, usage)
}

// Choices are the words that a flag takes; none where it is no choice.
func Choices(f *pflag.Flag) []string {
	if c, ok := f.Value.(*choice); ok {
		return c.options
	}
	return nil
}

// listVar adds a flag for several values, with commas between them or repeated.
func listVar(fs *pflag.FlagSet, into *[]string, name, kind string, each func(string) (string, error), usage string) {
	read := func(text string) (all []string, err error) {
		for part := range strings.SplitSeq(text, ",") {
			if part = strings.TrimSpace(part); part == "" {
				continue
			}
			if part, err = each(part); err != nil {
				return nil, err
			}
			all = append(all, part)
		}
		return append(slices.Clone(*into), all...), nil
	}
	fs.Var(&value[[]string]{into, kind, read, func(all []string) string { return strings.Join(all, ",") }}, name, usage)
}

var (
	hostName = regexp.MustCompile(`^[0-9A-Za-z]([0-9A-Za-z_-]*[0-9A-Za-z])?(\.[0-9A-Za-z]([0-9A-Za-z_-]*[0-9A-Za-z])?)*\.?$`)
	anyPort  = regexp.MustCompile(`:[0-9]+$`)
)

// readHost reads the name of a host. A port has no meaning in it, and does no harm.
func readHost(text string) (string, error) {
	host := strings.Trim(text, "[]")
	if net.ParseIP(host) == nil {
		host = strings.Trim(anyPort.ReplaceAllString(text, ""), "[]")
	}
	switch {
	case net.ParseIP(host) != nil, hostName.MatchString(host):
		return strings.ToLower(host), nil
	case strings.Contains(text, "*"):
		return "", fmt.Errorf("%q has a wildcard; name each host", text)
	}
	if u, err := url.Parse(text); err == nil && u.User == nil && hostName.MatchString(u.Hostname()) {
		return "", fmt.Errorf("must be the name of a host alone; write %s", strings.ToLower(u.Hostname()))
	}
	return "", fmt.Errorf("%q is not the name of a host; write it like mcp.example.com", text)
}

// readOrigin reads an origin as browsers write it (RFC 6454 §6.2).
func readOrigin(text string) (string, error) {
	u, err := readBase(text, "https://app.example.com")
	switch {
	case text == "*" || text == "null":
		return "", fmt.Errorf("%q would admit pages of everybody; name each origin, like https://app.example.com", text)
	case err != nil:
		return "", err
	case u.Path != "":
		return "", fmt.Errorf("an origin has no path, not even a slash; write %s://%s", u.Scheme, u.Host)
	}
	return u.String(), nil
}

// readPublicURL reads the gateway's own address.
func readPublicURL(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	u, err := readBase(text, "https://gw.example.com")
	if err != nil {
		return "", err
	}
	u.Path = strings.TrimRight(u.Path, "/")
	if u.Path != "" && path.Clean(u.Path) != u.Path || strings.ContainsAny(u.EscapedPath(), "%;") {
		return "", errors.New("must have a plain path, without empty, . or .. parts and without %; write it like https://gw.example.com/mcp-gateway")
	}
	return u.String(), nil
}

// readBase reads scheme, host, port and path, in their usual spelling.
func readBase(text, example string) (*url.URL, error) {
	if !strings.Contains(text, "://") {
		if _, err := readHost(strings.SplitN(text, "/", 2)[0]); err == nil {
			return nil, fmt.Errorf("must begin with https:// or http://; write https://%s", text)
		}
	}
	u, err := url.Parse(text)
	if err != nil || u.Opaque != "" || u.Host == "" {
		return nil, fmt.Errorf("invalid URL; write it like %s", example)
	}
	port := u.Port()
	number, bad := strconv.ParseUint(port, 10, 16)
	switch u.Scheme {
	case "https", "http":
	default:
		return nil, fmt.Errorf("must begin with https:// or http://, not with %s://", u.Scheme)
	}
	switch {
	case u.User != nil, u.RawQuery != "", u.ForceQuery, u.Fragment != "", strings.HasSuffix(text, "#"):
		return nil, fmt.Errorf("must have no user, query or fragment; write it like %s", example)
	case port != "" && (bad != nil || number == 0), strings.HasSuffix(u.Host, ":"):
		return nil, errors.New("has a port that is not between 1 and 65535")
	}
	host, err := readHost(u.Hostname())
	if err != nil {
		return nil, err
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port != "" && !(u.Scheme == "https" && number == 443) && !(u.Scheme == "http" && number == 80) {
		host += ":" + strconv.FormatUint(number, 10)
	}
	u.Host = host
	return u, nil
}
