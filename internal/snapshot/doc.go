// Package snapshot is what the dump slave is for: exact copies of a whole server in
// an object store, their restore and the rehearsal of it. It knows rows, chunks,
// packs and manifests; what it needs of a MySQL server is behind interfaces.
package snapshot

import "errors"

// ErrDamaged says that what the store holds is not what was written.
var ErrDamaged = errors.New("content is not what was written")
