package follow

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/template"

	"github.com/failoverd/failoverd/internal/publish"
)

// render executes a template file over the document. Errors name the template's
// file and line. Beside text/template's own, templates have these functions:
//
//	product "shop"        that product; an error if it is not published
//	addr .Writer          "host:port" of a server; an error if there is none
//	addrs .Readers        the same of each
//	inZone "a" .Readers   the servers in that zone
//	join ", " LIST        one string
//	json VALUE            JSON
//	quote VALUE           a double-quoted string, JSON's rules
func render(path string, d *publish.Document) ([]byte, error) {
	source, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	t, err := template.New(path).Option("missingkey=error").Funcs(functions(d)).Parse(string(source))
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := t.Execute(&out, d); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func functions(d *publish.Document) template.FuncMap {
	return template.FuncMap{
		"product": func(name string) (publish.Product, error) {
			p, published := d.Products[name]
			if !published {
				return p, fmt.Errorf("product %q is not published; there are: %s",
					name, strings.Join(slices.Sorted(maps.Keys(d.Products)), ", "))
			}
			return p, nil
		},
		"addr": addr,
		"addrs": func(servers []publish.Server) ([]string, error) {
			addrs := make([]string, len(servers))
			for i, s := range servers {
				addrs[i], _ = addr(s)
			}
			return addrs, nil
		},
		"inZone": func(zone string, servers []publish.Server) (inside []publish.Server) {
			for _, s := range servers {
				if s.Zone == zone {
					inside = append(inside, s)
				}
			}
			return inside
		},
		"join": func(separator string, list []string) string { return strings.Join(list, separator) },
		"json": toJSON,
		"quote": func(value any) (string, error) {
			return toJSON(fmt.Sprint(value))
		},
	}
}

func addr(server any) (string, error) {
	switch s := server.(type) {
	case publish.Server:
		return net.JoinHostPort(s.Host, strconv.Itoa(s.Port)), nil
	case *publish.Server:
		if s != nil {
			return addr(*s)
		}
		return "", errors.New("no server is there now")
	default:
		return "", fmt.Errorf("%T is not a server", server)
	}
}

func toJSON(value any) (string, error) {
	var out strings.Builder
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(value)
	return strings.TrimSuffix(out.String(), "\n"), err
}
