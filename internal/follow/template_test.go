package follow_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/follow"
)

func TestTemplates(t *testing.T) {
	for source, want := range map[string]string{
		`{{(product "shop").Writer.Host}} {{.Version}}`:                       "db1 1",
		`{{join "," (addrs (product "shop").Readers)}}`:                       "db1:3306,db2:3306",
		`{{join "," (addrs (inZone "b" (product "shop").Readers))}}`:          "db2:3306",
		`{{range $name, $p := .Products}}{{$name}}={{quote $p.State}}{{end}}`: `shop="healthy"`,
		`{{json .Zones}}`: `["a","b"]`,
		`{{with (product "shop").Dump}}{{addr .}}{{else}}none{{end}}`: "none",
		`{{addr (index (product "shop").Readers 1)}}`:                 "db2:3306",
	} {
		w := newWorld(t)
		target := w.target()
		target.Template = w.write("web.tmpl", source)
		w.put(w.render(1, "db1"))
		require.NoError(t, follow.RunOnce(t.Context(), w.config(target), w.logger()), source)
		assert.Equal(t, want, w.read("web.conf"))
	}
}

func TestTemplateErrorsNameFileAndLine(t *testing.T) {
	for source, want := range map[string]string{
		"\n\n{{if}}\n":                       "web.tmpl:3: missing value for if",
		"\n{{product \"shpo\"}}\n":           `web.tmpl:2:2: executing`,
		"{{product \"shpo\"}}":               `product "shpo" is not published; there are: shop`,
		"\n{{addr (product \"shop\").Dump}}": "web.tmpl:2:2:",
		"{{addr (product \"shop\").Dump}}":   "no server is there now",
		"{{(product \"shop\").Dump.Host}}":   "web.tmpl:1:",
		"{{.Products.shpo.Epoch}}":           "map has no entry for key",
		"{{nonsense}}":                       `web.tmpl:1: function "nonsense" not defined`,
	} {
		w := newWorld(t)
		target := w.target()
		target.Template = w.write("web.tmpl", source)
		w.write("web.conf", "old\n")
		w.put(w.render(1, "db1"))
		err := follow.RunOnce(t.Context(), w.config(target), w.logger())
		assert.ErrorContains(t, err, w.dir, source)
		assert.ErrorContains(t, err, want, source)
		assert.Equal(t, "old\n", w.read("web.conf"))
	}
}
