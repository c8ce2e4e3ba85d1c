package load

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/snapshot"
)

const oddDefinition = "CREATE TABLE `a (``b,\n` (\n" +
	"  `id,` int NOT NULL AUTO_INCREMENT,\n" +
	"  `x` enum('a,b',')','it''s','\\'','`') DEFAULT ')' COMMENT 'KEY `k` (`x`), AUTO_INCREMENT',\n" +
	"  `g` int GENERATED ALWAYS AS (concat(`x`,_utf8mb4',')) VIRTUAL,\n" +
	"  PRIMARY KEY (`x`,`id,`),\n" +
	"  UNIQUE KEY `first` (`x`),\n" +
	"  UNIQUE KEY `second ``(` (`g`),\n" +
	"  KEY `counter` (`id,`),\n" +
	"  FULLTEXT KEY `words` (`x`) /*!50100 WITH PARSER `ngram` */ ,\n" +
	"  CONSTRAINT `f ``FOREIGN KEY` FOREIGN KEY (`g`) REFERENCES `p` (`id`) ON DELETE CASCADE,\n" +
	"  CONSTRAINT `FOREIGN KEY (` CHECK ((`g` > 1))\n" +
	") ENGINE=InnoDB COMMENT='),('\n/*!50100 PARTITION BY HASH (`id,`)\n(PARTITION p0) */"

func TestDefinition(t *testing.T) {
	d, err := parseDefinition(oddDefinition)
	require.NoError(t, err)
	assert.Equal(t, "CREATE TABLE `a (``b,\n`", d.head)
	assert.Len(t, d.items, 10)
	assert.Equal(t, oddDefinition, d.String())
	assert.Equal(t, []string{d.items[8]}, d.without(func(i string) bool { return !isForeignKey(i) }).items)
	assert.Equal(t, []string{d.items[5], d.items[7]}, d.deferrable(snapshot.Table{KeyName: "first"}),
		"neither the key of the rows nor that of the counter")
	assert.Equal(t, "`second ``(`", keyName(d.items[5]))
	assert.Empty(t, keyName(d.items[3]), "the primary key is never deferred")
	lean := d.without(func(i string) bool { return keyName(i) != "" })
	assert.Equal(t, d.items[4:8], lean.missing(d))
}

func TestDefinitionsThatAreNotUnderstood(t *testing.T) {
	for _, text := range []string{
		"", "(", "CREATE TABLE `a", "CREATE TABLE `a` (\n  `x` int", "CREATE TABLE `a` (`x` int)",
		"CREATE TABLE `a` (\n  `x` int\n ) ENGINE=InnoDB",
	} {
		_, err := parseDefinition(text)
		require.ErrorIs(t, err, errDefinition, text)
	}
}

func TestColumnsInheritTheTablesCollation(t *testing.T) {
	const create = "CREATE TABLE `t` (\n" +
		"  `a COLLATE x_ci` varchar(9) COLLATE x_ci DEFAULT ' COLLATE x_ci',\n" +
		"  `b` varchar(9) CHARACTER SET x COLLATE x_ci,\n" +
		"  `c` varchar(9) COLLATE x_ci_too,\n" +
		"  `d` text COLLATE x_ci\n" +
		") ENGINE=InnoDB DEFAULT CHARSET=x COLLATE=x_ci COMMENT='COLLATE=y'"
	d, err := parseDefinition(create)
	require.NoError(t, err)
	assert.Equal(t, []string{"`a COLLATE x_ci` varchar(9) DEFAULT ' COLLATE x_ci'", d.items[1], d.items[2], "`d` text"}, d.inheriting().items)
	assert.Equal(t, create, d.String(), "it is not changed")
}

func FuzzParseDefinition(f *testing.F) {
	f.Add(oddDefinition)
	f.Fuzz(func(t *testing.T, text string) {
		if d, err := parseDefinition(text); err == nil {
			require.Equal(t, text, d.String())
		}
	})
}
