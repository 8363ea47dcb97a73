package duplex

import (
	"strings"
	"testing"
)

func TestLongLineAnswers(t *testing.T) {
	t.Parallel()
	content := strings.Repeat(`{\"id\":9}`, 1000)
	for text, want := range map[string]string{
		`{"jsonrpc":"2.0","id":5,"result":{"x":"` + content + `"}}`:            "n5",
		`{"id":"a","jsonrpc":"2.0","result":{"x":"` + content + `"}}`:          "sa",
		` { "id" : 5 , "result" : {"x":"` + content + `"}}`:                    "n5",
		`{"result":{"x":"` + content + `"},"jsonrpc":"2.0","id":-5}`:           "n-5",
		`{"jsonrpc":"2.0","result":{"x":"` + content + `"},"id":"a"}`:          "sa",
		`{"result":{"x":"` + content + `"},"id":5,"jsonrpc":"2.0"}`:            "n5",
		`{"jsonrpc":"2.0","result":{"x":"` + content + `","id":5}}`:            "",
		`{"jsonrpc":"2.0","method":"x","params":{"x":"` + content + `"}}`:      "",
		`{"jsonrpc":"2.0","method":"x","id":5,"params":"` + content + `"}`:     "",
		`{"jsonrpc":"2.0","x":{"id":5,"result":1},"result":"` + content + `"}`: "",
		content: "",
	} {
		const kept = 512
		if got := answered([]byte(text[:min(len(text), kept)]), []byte(text[max(0, len(text)-kept):])); got != want {
			t.Errorf("%.60s… answers %q, want %q", text, got, want)
		}
	}
}
