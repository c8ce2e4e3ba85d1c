package testenv

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSupportedVersions(t *testing.T) {
	for printed, want := range map[string]string{
		"mysqld  Ver 9.7.4-2 for Linux on x86_64 ((Debian))":                 "9.7.4-2",
		"mysqld  Ver 8.0.34 for Linux on x86_64 (MySQL Community)":           "8.0.34",
		"mysqld  Ver 26.4.0 for Linux on aarch64 (MySQL Community)":          "26.4.0",
		"mysqld  Ver 8.0.33 for Linux on x86_64 (MySQL Community)":           "",
		"mysqld  Ver 5.7.44 for Linux on x86_64 (MySQL Community)":           "",
		"mysqld  Ver 10.11.14-MariaDB-0+deb12u2 for debian-linux-gnu on x86": "",
		"mysqld: cannot open shared object":                                  "",
	} {
		got, err := supportedVersion(printed)
		assert.Equal(t, want, got, printed)
		assert.Equal(t, want == "", err != nil, printed)
	}
}

func TestMirrorIsReadFromSourceFiles(t *testing.T) {
	const list = `# deb http://commented.invalid/debian bookworm main
deb-src http://sources.invalid/debian bookworm main
deb http://other.invalid/x bookworm stable
deb [signed-by=/a.gpg arch=amd64] http://mirror.invalid/debian bookworm main contrib
`
	assert.Equal(t, "http://mirror.invalid/debian", mirrorInList([]byte(list), "bookworm"))
	assert.Empty(t, mirrorInList([]byte(list), "trixie"))
	const sources = `Types: deb
URIs: http://other.invalid/x
Suites: bookworm
Components: stable

Types: deb
URIs: http://mirror.invalid/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /a.gpg
`
	assert.Equal(t, "http://mirror.invalid/debian", mirrorInSources([]byte(sources), "bookworm"))
	assert.Empty(t, mirrorInSources([]byte(sources), "trixie"))
}

func TestNamedServerThatIsNoneIsAnError(t *testing.T) {
	t.Setenv("FAILOVERD_MYSQLD", "/bin/true")
	_, err := FindServer(t.Context(), nil)
	require.ErrorContains(t, err, "FAILOVERD_MYSQLD")
}
