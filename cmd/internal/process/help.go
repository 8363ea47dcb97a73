package process

import (
	"cmp"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// groupKey is the annotation that says under which title help shows a flag.
const groupKey = "sallyport_group"

// Group puts the flags that are in no group yet under a title of the help.
func Group(fs *pflag.FlagSet, title string) {
	fs.VisitAll(func(f *pflag.Flag) {
		if f.Annotations[groupKey] == nil {
			_ = fs.SetAnnotation(f.Name, groupKey, []string{title}) // it is there
		}
	})
}

// Usages is the help of flags: the command's own, then group by group in the order in
// which they were added.
func Usages(fs *pflag.FlagSet) string {
	const own = "Flags"
	titles := []string{own}
	groups := map[string]*pflag.FlagSet{}
	fs.VisitAll(func(f *pflag.Flag) {
		title := cmp.Or(strings.Join(f.Annotations[groupKey], ""), own)
		if groups[title] == nil {
			groups[title] = pflag.NewFlagSet(title, pflag.ContinueOnError)
			groups[title].SortFlags = fs.SortFlags
			titles = append(titles, title)
		}
		groups[title].AddFlag(f)
	})
	var b strings.Builder
	for i, title := range titles {
		if group := groups[title]; group != nil && slices.Index(titles, title) == i {
			b.WriteString(title + ":\n" + group.FlagUsages() + "\n")
		}
	}
	return b.String() + "Every flag has an environment variable, too: --log-level is SALLYPORT_LOG_LEVEL. A flag wins.\n"
}
