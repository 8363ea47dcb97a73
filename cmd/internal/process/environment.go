package process

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"github.com/sallyport-dev/sallyport/internal/manifest"
)

// Variable is the environment variable that stands for a flag.
func Variable(flag string) string {
	return "SALLYPORT_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// FromEnvironment sets the flags that the command line left out and that have a
// variable. One that is empty counts as not set; a flag that may be repeated takes a
// value from each line.
func FromEnvironment(fs *pflag.FlagSet, getenv func(string) (string, bool)) error {
	var problems []error
	fs.VisitAll(func(f *pflag.Flag) {
		text, ok := getenv(Variable(f.Name))
		if !ok || f.Changed || f.Name == "help" || f.Name == "version" || strings.TrimSpace(text) == "" {
			return
		}
		values := []string{text}
		if f.Value.Type() == "stringArray" {
			values = strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' })
		}
		for _, v := range values {
			if err := fs.Set(f.Name, v); err != nil {
				problems = append(problems, wrongValue("environment variable "+Variable(f.Name), f, err))
				return
			}
		}
	})
	if len(problems) > 0 {
		return UsageError{errors.Join(problems...)}
	}
	return nil
}

// FlagError puts an error of reading flags into the words of all other problems:
// which flag, what is wrong, and what to do.
func FlagError(fs *pflag.FlagSet, err error) error {
	if _, ok := errors.AsType[UsageError](err); ok {
		return err
	}
	if e, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		err = wrongValue("--"+e.GetFlag().Name, e.GetFlag(), e)
	} else if e, ok := errors.AsType[*pflag.ValueRequiredError](err); ok {
		err = fmt.Errorf("--%s: needs a value", e.GetFlag().Name)
	} else if e, ok := errors.AsType[*pflag.NotExistError](err); ok {
		if short := e.GetSpecifiedShortnames(); short != "" {
			return UsageError{fmt.Errorf("unknown flag -%s", short)}
		}
		var known []string
		fs.VisitAll(func(f *pflag.Flag) { known = append(known, "--"+f.Name) })
		err = fmt.Errorf("unknown flag --%s%s", e.GetSpecifiedName(), manifest.DidYouMean("--"+e.GetSpecifiedName(), known))
	}
	return UsageError{err}
}

// wrongValue says what is wrong with the value of a flag, wherever it came from.
func wrongValue(where string, f *pflag.Flag, err error) error {
	if e, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		err = errors.Unwrap(e)
	}
	if f.Value.Type() == "bool" {
		err = errors.New("must be true or false")
	}
	return fmt.Errorf("%s: %w", where, err)
}
