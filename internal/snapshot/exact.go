package snapshot

import (
	"encoding/base64"
	"encoding/json"
	"unicode/utf8"
)

// The text of a definition is as the server keeps it, in the character set of the
// client that made it, and JSON is UTF-8: a text that is not goes in base64, or it
// would be changed without a word.

type exactObject struct {
	plainObject
	CreateBase64 string `json:"createBase64,omitempty"`
}

type plainObject Object

// MarshalJSON implements json.Marshaler.
func (o Object) MarshalJSON() ([]byte, error) {
	out := exactObject{plainObject: plainObject(o)}
	if !utf8.ValidString(o.Create) {
		out.Create, out.CreateBase64 = "", base64.StdEncoding.EncodeToString([]byte(o.Create))
	}
	return json.Marshal(out)
}

// UnmarshalJSON implements json.Unmarshaler.
func (o *Object) UnmarshalJSON(data []byte) error {
	var in exactObject
	if err := json.Unmarshal(data, &in); err != nil {
		return err
	}
	*o = Object(in.plainObject)
	if in.CreateBase64 == "" {
		return nil
	}
	text, err := base64.StdEncoding.DecodeString(in.CreateBase64)
	o.Create = string(text)
	return err
}
