package snapshot

import (
	"fmt"
	"io"
	"strings"

	"filippo.io/age"
)

// Keys are for whom a Box encrypts, and with what it decrypts. Without recipients it
// does not encrypt.
type Keys struct {
	Recipients []age.Recipient
	Identities []age.Identity
}

// String hides the identities from any log.
func (k Keys) String() string {
	return fmt.Sprintf("{%d recipients, %d identities}", len(k.Recipients), len(k.Identities))
}

// GoString hides the identities from %#v too.
func (k Keys) GoString() string { return k.String() }

// ParseKeys reads recipients, each as "age-keygen -y" prints it, and the identities
// of a file that age-keygen has written, which may be nil. Comments and empty lines
// are allowed. No error quotes an identity.
func ParseKeys(recipients []string, identities io.Reader) (Keys, error) {
	var keys Keys
	if len(recipients) > 0 {
		parsed, err := age.ParseRecipients(strings.NewReader(strings.Join(recipients, "\n")))
		if err != nil {
			return Keys{}, fmt.Errorf("age recipients: %w", err)
		}
		keys.Recipients = parsed
	}
	if identities != nil {
		parsed, err := age.ParseIdentities(identities)
		if err != nil {
			// The library's error may quote a part of the line.
			return Keys{}, fmt.Errorf("the file of age identities holds none, or something that is none")
		}
		keys.Identities = parsed
	}
	return keys, nil
}
