// Package publish keeps the global config object: the one signed document per
// deployment that says which server of each product takes writes. The leader
// renders and publishes it; web servers and anybody else read it.
//
// # The object
//
// The head is the object "config.json". It is plain JSON, so that curl and jq
// can read it, and looks like this:
//
//	{
//	  "apiVersion": "failoverd/v1",
//	  "version": 42,
//	  "generatedAt": "2026-11-22T20:51:00.123Z",
//	  "previous": "sha256:…",
//	  "products": {
//	    "shop": {
//	      "epoch": 7,
//	      "state": "healthy",
//	      "writer": {
//	        "host": "db1.example.net",
//	        "port": 3306,
//	        "zone": "a",
//	        "serverUuid": "…"
//	      },
//	      "readers": […],
//	      "candidate": {…},
//	      "slave": {…},
//	      "dump": null,
//	      "protected": true
//	    }
//	  },
//	  "zones": ["a", "b"],
//	  "signature": {"keyId":"…","algorithm":"ed25519","value":"…"}
//	}
//
// Members may be added within failoverd/v1; a reader ignores those it does not
// know. None is renamed, removed or given another meaning.
//
// # The signature
//
// The signature member is always the last but one line. It covers every byte of
// the file above that line, as they stand, so no canonical form is needed and a
// person can check it with two lines of shell:
//
//	head -n -2 config.json >signed; jq -r .signature.value config.json | base64 -d >sig
//	openssl pkeyutl -verify -pubin -inkey publish.pub -rawin -in signed -sigfile sig
//
// The last two lines are not covered, but may only be what sealing writes: any
// other byte there is refused too. keyId is the start of the SHA-256 of the raw
// public key. A reader trusts several keys while they are rotated.
//
// # Order
//
// Versions grow. previous is the SHA-256 of the whole file, signature included,
// that a document was rendered from, and every document is stored as an
// immutable "history/NNNNNNNNNNNN-HASH.json" before it becomes the head.
// A document replaces another only if its version is higher and no product's
// epoch is lower (see Document.Supersedes).
//
// While the store is away the leader goes on rendering, and its watchers serve
// the signed bytes from a Feed. For versions to stay unique then, the leader
// commits each version to the replicated state before anybody sees the document
// (Options.Announce), and a new leader starts above the last committed one
// (Input.LastVersion). Versions can therefore skip numbers, but never repeat
// one; should one repeat all the same, the document with a higher epoch wins.
// When the store is back, exactly the bytes that were served are put, unless
// somebody else's document got there meanwhile.
package publish
