-- Whatever is known to be lost or changed on the way from one MySQL server to another.
-- Statements end with ; at the end of a line, or with the DELIMITER that was set.
SET NAMES utf8mb4;
SET SESSION sql_mode = '', time_zone = '+00:00', foreign_key_checks = 0;

CREATE DATABASE horrors CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci;
CREATE DATABASE horrors_latin CHARACTER SET latin1 COLLATE latin1_german2_ci;
CREATE DATABASE `odd ``name`` "x" ünï.%_-$ 日本`;
CREATE DATABASE horrors_empty;
USE horrors;

-- Numbers at their ends.
CREATE TABLE whole_numbers (
  id INT NOT NULL PRIMARY KEY, t TINYINT, tu TINYINT UNSIGNED, s SMALLINT, su SMALLINT UNSIGNED, m MEDIUMINT, mu MEDIUMINT UNSIGNED,
  i INT, iu INT UNSIGNED, b BIGINT, bu BIGINT UNSIGNED, z INT(8) UNSIGNED ZEROFILL, bo BOOL, y YEAR, s1 SERIAL);
INSERT INTO whole_numbers VALUES
  (1, -128, 0, -32768, 0, -8388608, 0, -2147483648, 0, -9223372036854775808, 0, 0, 0, 1901, 1),
  (2, 127, 255, 32767, 65535, 8388607, 16777215, 2147483647, 4294967295, 9223372036854775807, 18446744073709551615, 99999999, 1, 2155, 18446744073709551614),
  (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 3),
  (-2147483648, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, 42, 1, 0, 4);

CREATE TABLE floats (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, f FLOAT, d DOUBLE, fd FLOAT(7,3), dd DOUBLE(20,10), fu FLOAT UNSIGNED);
INSERT INTO floats (f, d, fd, dd, fu) VALUES
  (16777216, 16777216, 1.001, 0.1, 0), (0.1, 0.1, 0.1, 0.1, 0.1), (-0e0, -0e0, -0e0, -0e0, 0), (1e-45, 4.9406564584124654e-324, 0, 0, 1e-45),
  (3.402823466e38, 1.7976931348623157e308, 9999.999, 9999999999.9999999999, 3.402823466e38), (-3.402823466e38, -1.7976931348623157e308, -9999.999, -9999999999.9, 1),
  (1.17549435e-38, 2.2250738585072014e-308, 0.001, 1e-10, 1.17549435e-38), (1.0000001, 1.0000000000000002, 1, 1, 1.0000001), (123456789, 123456789012345678, 1234.567, 1234567890.123456789, 8388609),
  (0.30000001192092896, 0.30000000000000004, 0.3, 0.3, 0.3), (33554430, 9007199254740993, 5, 5, 5), (NULL, NULL, NULL, NULL, NULL), (1/3, 1/3, 1/3, 1/3, 1/3), (PI(), PI(), PI(), PI(), PI());

CREATE TABLE decimals (id INT PRIMARY KEY, d DECIMAL(65,30), e DECIMAL(65,0), f DECIMAL(5,5) UNSIGNED, g DECIMAL(10,2) ZEROFILL, n NUMERIC);
INSERT INTO decimals VALUES (1, 99999999999999999999999999999999999.999999999999999999999999999999, 99999999999999999999999999999999999999999999999999999999999999999, 0.99999, 1.5, 7),
  (2, -99999999999999999999999999999999999.999999999999999999999999999999, -1, 0, 0, -7), (3, 0.000000000000000000000000000001, 0, 0.00001, 99999999.99, 0), (4, NULL, NULL, NULL, NULL, NULL), (5, -0.0, -0, 0, 0, -0);

-- Times, with zeros and fractions.
CREATE TABLE times (id INT PRIMARY KEY, d DATE, t TIME, t6 TIME(6), dt DATETIME, dt3 DATETIME(3), dt6 DATETIME(6), ts TIMESTAMP NULL, ts6 TIMESTAMP(6) NULL, y YEAR,
  created TIMESTAMP DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP);
INSERT INTO times VALUES
  (1, '0000-00-00', '00:00:00', '00:00:00', '0000-00-00', '0000-00-00', '0000-00-00', '0000-00-00', '0000-00-00', 0, '0000-00-00'),
  (2, '2024-00-00', '838:59:59', '838:59:59', '2024-00-31 00:00:00', '2024-02-00 01:00:00', '9999-12-31 23:59:59.999999', '1970-01-01 00:00:01', '2038-01-19 03:14:07.999999', 2155, '2001-01-01'),
  (3, '9999-12-31', '-838:59:59', '-838:59:59', '1000-01-01', '1000-01-01 00:00:00.001', '0001-01-01 00:00:00.000001', '2038-01-19 03:14:07', '1970-01-01 00:00:01.000001', 1901, '2001-01-01'),
  (4, '2024-02-29', '-00:00:01', '-00:00:00.000001', '2024-03-31 02:30:00', '2024-10-27 02:30:00.5', '2024-10-27 02:30:00.5', '2024-10-27 00:30:00', '2024-10-27 01:30:00.5', 2024, '2001-01-01'),
  (5, '0000-01-01', '24:00:00', '23:59:59.999999', '0000-01-01', '0000-01-01', '0000-01-01', NULL, NULL, NULL, '2001-01-01'),
  (6, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '2001-01-01');

-- Bytes.
CREATE TABLE bytes (id INT PRIMARY KEY, b BINARY(8), vb VARBINARY(300), tb TINYBLOB, bl BLOB, mb MEDIUMBLOB, lb LONGBLOB, b1 BIT(1), b7 BIT(7), b64 BIT(64));
INSERT INTO bytes VALUES (1, '', '', '', '', '', '', b'0', b'0', b'0'), (2, X'00FF5C270A0D1A09', X'00', X'5C4E', X'5C', X'27', X'220A0D09005C', b'1', b'1111111', X'FFFFFFFFFFFFFFFF'),
  (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL), (4, 'a', 'a  ', 'NULL', '\\N', 'x\ty\nz', REPEAT(X'00', 70000), b'1', b'1011100', X'5C0A27090D1A0022'),
  (5, X'2020202020202020', X'20', X'20', X'0A', X'0D0A', X'1A', 0, 39, 9);
INSERT INTO bytes (id, vb, bl) WITH RECURSIVE n AS (SELECT 0 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 255) SELECT 100 + i, UNHEX(LPAD(HEX(i), 2, '0')), REPEAT(UNHEX(LPAD(HEX(i), 2, '0')), 3) FROM n;

-- Rows of some megabytes, one of them larger than a packet.
CREATE TABLE large (id INT PRIMARY KEY, a LONGBLOB, b LONGTEXT);
INSERT INTO large VALUES (1, REPEAT(X'00FF', 1500000), REPEAT('日本', 300000)), (2, '', ''), (3, REPEAT('x', 1048576), NULL);
INSERT INTO large VALUES (4, REPEAT('0123456789abcdef', 262144), REPEAT('y', 5000000));
UPDATE large SET a = CONCAT(a, a, a, a, a) WHERE id = 4;

-- Enumerations: an empty member, the error value, sets, numbers as members.
CREATE TABLE enums (id INT PRIMARY KEY, e ENUM('a', '', 'b,c', '1', '2', 'ü', '日本'), s SET('a', 'b', 'it''s', 'ü'), el ENUM('ä', 'ö') CHARACTER SET latin1, nn ENUM('x', 'y') NOT NULL,
  s64 SET('0','1','2','3','4','5','6','7','8','9','10','11','12','13','14','15','16','17','18','19','20','21','22','23','24','25','26','27','28','29','30','31','32','33','34','35','36','37','38','39','40','41','42','43','44','45','46','47','48','49','50','51','52','53','54','55','56','57','58','59','60','61','62','63'));
INSERT IGNORE INTO enums VALUES (1, 'a', 'a', 'ä', 'x', '0'), (2, '', '', 'ö', 'y', ''), (3, 'no such', 'a,ü', 'no such', 'no such', 18446744073709551615), (4, NULL, NULL, NULL, 'x', NULL), (5, 4, 3, 1, 1, '63'), (6, '日本', 'it''s', 0, 0, '31,32'), (7, 0, 0, 2, 2, 1);
CREATE TABLE enum_key (e ENUM('z', 'y', 'x') NOT NULL, n INT NOT NULL, v INT, PRIMARY KEY (e, n));
INSERT IGNORE INTO enum_key VALUES ('x', 1, 1), ('z', 1, 2), ('y', 1, 3), ('none', 1, 4);

-- JSON.
CREATE TABLE json (id INT PRIMARY KEY, j JSON, g INT GENERATED ALWAYS AS (j->'$.n') VIRTUAL, KEY (g), KEY many ((CAST(j->'$.a' AS UNSIGNED ARRAY))));
INSERT INTO json (id, j) VALUES (1, '{"n": 1, "a": [1, 2, 3], "text": "ü \\"quoted\\" \\\\ \\n \\u0000 日本 😀", "f": 1.5, "e": 1e308, "neg": -0.0, "big": 18446744073709551615, "low": -9223372036854775808, "t": true, "z": null, "o": {}, "l": []}'),
  (2, 'null'), (3, NULL), (4, '"text"'), (5, '1.0'), (6, '[]'), (7, '{"": {"": ""}}'), (8, '0.1'), (9, '1e-320'), (10, '123456789012345678901234567890'), (11, CONCAT('"', REPEAT('x', 100000), '"'));
INSERT INTO json (id, j) VALUES (20, JSON_OBJECT('d', CAST(2.50 AS DECIMAL(10,2)), 'dt', CAST('2024-02-29 12:34:56.789' AS DATETIME(6)), 't', CAST('-12:00:00' AS TIME), 'date', CAST('2024-02-29' AS DATE), 'b', X'00FF', 'bit', b'101', 'y', CAST(2024 AS YEAR), 'u', CAST(7 AS UNSIGNED))),
  (21, JSON_ARRAY(0.1, 1e0, 1e15, 1e16, 1e17, 123456789.123456789e0, 5e-324, -0e0, CAST(1/3 AS DOUBLE))), (22, JSON_OBJECT('a', JSON_ARRAY(4, 5)));

-- Places and vectors.
CREATE TABLE places (id INT PRIMARY KEY, g GEOMETRY, p POINT NOT NULL SRID 4326, l LINESTRING, pg POLYGON, mp MULTIPOINT, ml MULTILINESTRING, mpg MULTIPOLYGON, gc GEOMETRYCOLLECTION, SPATIAL KEY (p));
INSERT INTO places VALUES (1, ST_GeomFromText('POINT(1 2)'), ST_GeomFromText('POINT(48.1 11.5)', 4326), ST_GeomFromText('LINESTRING(0 0,1 1)'), ST_GeomFromText('POLYGON((0 0,1 0,1 1,0 0))'), ST_GeomFromText('MULTIPOINT(1 1,2 2)'), ST_GeomFromText('MULTILINESTRING((0 0,1 1),(2 2,3 3))'), ST_GeomFromText('MULTIPOLYGON(((0 0,1 0,1 1,0 0)))'), ST_GeomFromText('GEOMETRYCOLLECTION(POINT(1 1),LINESTRING(0 0,1 1))')),
  (2, ST_GeomFromText('LINESTRING(0.1 1e-300,1e300 -0.0)'), ST_GeomFromText('POINT(-89.999999999 179.999999999)', 4326), NULL, NULL, NULL, NULL, NULL, ST_GeomFromText('GEOMETRYCOLLECTION EMPTY')), (3, NULL, ST_GeomFromText('POINT(0 0)', 4326), NULL, NULL, NULL, NULL, NULL, NULL);
CREATE TABLE vectors (id INT PRIMARY KEY, v VECTOR(3), w VECTOR(2048));
INSERT INTO vectors VALUES (1, STRING_TO_VECTOR('[1,-2.5,3e-30]'), NULL), (2, NULL, STRING_TO_VECTOR(CONCAT('[', REPEAT('0.1,', 2047), '1]')));

-- Columns that are easily forgotten.
CREATE TABLE invisible (id INT PRIMARY KEY, seen INT, hidden INT INVISIBLE DEFAULT 7, hidden_text VARCHAR(20) CHARACTER SET latin1 INVISIBLE);
INSERT INTO invisible (id, seen, hidden, hidden_text) VALUES (1, 1, 2, 'ä'), (2, NULL, NULL, NULL);
CREATE TABLE all_hidden_but_one (a INT INVISIBLE, b INT);
INSERT INTO all_hidden_but_one (a, b) VALUES (1, 2);
CREATE TABLE generated_columns (a INT, v INT GENERATED ALWAYS AS (a + 1) VIRTUAL, b INT, s VARCHAR(30) GENERATED ALWAYS AS (CONCAT('x', b)) STORED, h INT AS (b * 2) STORED INVISIBLE, c INT DEFAULT (a * 3), id INT PRIMARY KEY, UNIQUE KEY (v), KEY ((a + b)), KEY (s));
INSERT INTO generated_columns (a, b, id) VALUES (1, 2, 1), (NULL, NULL, 2), (3, 4, 3);
CREATE TABLE only_generated_key (a INT NOT NULL, k INT GENERATED ALWAYS AS (a * 2) STORED NOT NULL, PRIMARY KEY (k));
INSERT INTO only_generated_key (a) VALUES (1), (2);
CREATE TABLE defaults (id INT PRIMARY KEY, a VARCHAR(50) DEFAULT (UUID()), b DATETIME(3) DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3), c TEXT DEFAULT ('it''s `ü`'), d JSON DEFAULT (JSON_ARRAY()), e BINARY(3) DEFAULT X'00FF01', f CHAR(3) DEFAULT 'a''\\', n INT DEFAULT NULL, bi BIT(3) DEFAULT b'101', CHECK (n > 0), CONSTRAINT named CHECK (id < 1000) NOT ENFORCED);
INSERT INTO defaults (id, a, b) VALUES (1, 'x', '2024-01-01');
SET SESSION sql_generate_invisible_primary_key = ON;
CREATE TABLE hidden_key (a INT, b VARCHAR(10));
SET SESSION sql_generate_invisible_primary_key = OFF;
INSERT INTO hidden_key VALUES (1, 'a'), (1, 'a'), (2, NULL);
DELETE FROM hidden_key WHERE a = 2;
INSERT INTO hidden_key VALUES (3, 'c');

-- Keys of all kinds, and none.
CREATE TABLE no_key (a INT, b VARCHAR(20));
INSERT INTO no_key VALUES (1, 'twice'), (1, 'twice'), (NULL, NULL), (NULL, NULL), (2, '');
CREATE TABLE null_unique (a INT, b INT, UNIQUE KEY (a, b));
INSERT INTO null_unique VALUES (1, NULL), (1, NULL), (NULL, NULL), (1, 2);
CREATE TABLE unique_only (n INT, v VARCHAR(10), u INT NOT NULL, w INT NOT NULL, UNIQUE KEY nullable (n), UNIQUE KEY prefix (v(3)), UNIQUE KEY `od``d` (w, u));
INSERT INTO unique_only VALUES (NULL, 'abc', 1, 1), (1, 'abd', 0, 1), (2, NULL, 5, -1);
CREATE TABLE wide_key (a INT NOT NULL, b BIGINT UNSIGNED NOT NULL, c SMALLINT NOT NULL, v TEXT, PRIMARY KEY (a, b, c DESC));
INSERT INTO wide_key VALUES (-1, 18446744073709551615, 3, 'a'), (-1, 0, -3, 'b'), (0, 0, 0, 'c'), (2147483647, 9223372036854775808, 32767, 'd'), (-1, 18446744073709551615, 2, 'e');
CREATE TABLE text_key (k VARCHAR(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci PRIMARY KEY, v INT);
INSERT INTO text_key VALUES ('', 0), ('a', 1), ('Ö', 2), ('b ', 3), ('b', 4), ('日本', 5), ('😀', 6);
CREATE TABLE uuid_key (k BINARY(16) PRIMARY KEY, v INT);
INSERT INTO uuid_key VALUES (X'00000000000000000000000000000000', 1), (X'FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF', 2), (X'0A0D1A5C272200000000000000000020', 3);
CREATE TABLE time_key (k TIMESTAMP(6) NOT NULL, d DATE NOT NULL, v INT, PRIMARY KEY (k, d));
INSERT INTO time_key VALUES ('2024-01-01 00:00:00.000001', '2024-01-01', 1), ('0000-00-00', '0000-00-00', 2);
CREATE TABLE float_key (k DOUBLE PRIMARY KEY, v INT);
INSERT INTO float_key VALUES (-0e0, 1), (0.1, 2), (1e300, 3);
CREATE TABLE counted (id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, v INT) AUTO_INCREMENT = 1000;
INSERT INTO counted (v) VALUES (1), (2);
INSERT INTO counted VALUES (5000, 3);
DELETE FROM counted WHERE id = 5000;
CREATE TABLE zero_id (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, v INT);
SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO';
INSERT INTO zero_id VALUES (0, 1), (-5, 2), (1, 3);
SET SESSION sql_mode = '';
CREATE TABLE counted_empty (id INT AUTO_INCREMENT PRIMARY KEY) AUTO_INCREMENT = 77;
CREATE TABLE no_rows (id INT PRIMARY KEY, v TEXT);
CREATE TABLE indexes (id INT PRIMARY KEY, a VARCHAR(100), b TEXT, c INT, FULLTEXT KEY ft (a, b), FULLTEXT KEY ng (b) WITH PARSER ngram, KEY (c DESC), KEY hidden (a) INVISIBLE, KEY (a(10), c) COMMENT 'it''s', UNIQUE KEY ((LOWER(a))));
INSERT INTO indexes VALUES (1, 'One two', 'three four', 3), (2, NULL, NULL, NULL), (3, 'ÜNI', '日本語', 1);

-- Partitions.
CREATE TABLE partitioned (id INT NOT NULL, d DATE NOT NULL, v INT, PRIMARY KEY (id, d)) PARTITION BY RANGE (YEAR(d)) SUBPARTITION BY HASH (id) SUBPARTITIONS 2 (PARTITION p0 VALUES LESS THAN (2000), PARTITION p1 VALUES LESS THAN (2020) COMMENT = 'x', PARTITION p2 VALUES LESS THAN MAXVALUE);
INSERT INTO partitioned VALUES (1, '1999-01-01', 1), (2, '2010-01-01', 2), (3, '2030-01-01', 3), (1, '2030-01-01', 4);
CREATE TABLE listed (a VARCHAR(10) CHARACTER SET latin1, b INT) PARTITION BY LIST COLUMNS (a, b) (PARTITION p0 VALUES IN (('ä', 1), ('x', NULL)), PARTITION p1 VALUES IN (('b', 2)));
INSERT INTO listed VALUES ('ä', 1), ('x', NULL), ('b', 2);
CREATE TABLE hashed (id BIGINT PRIMARY KEY, v INT) PARTITION BY KEY () PARTITIONS 5;
INSERT INTO hashed WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 200) SELECT i * 7919 % 10007, i FROM n;

-- Foreign keys in a circle, to itself, and with cascades.
CREATE TABLE circle_a (id INT PRIMARY KEY, b INT, CONSTRAINT a_to_b FOREIGN KEY (b) REFERENCES circle_b (id) ON DELETE SET NULL ON UPDATE CASCADE);
CREATE TABLE circle_b (id INT PRIMARY KEY, a INT, CONSTRAINT b_to_a FOREIGN KEY (a) REFERENCES circle_a (id));
INSERT INTO circle_a VALUES (1, 2), (2, NULL);
INSERT INTO circle_b VALUES (2, 1);
CREATE TABLE tree (id INT PRIMARY KEY, parent INT, CONSTRAINT up FOREIGN KEY (parent) REFERENCES tree (id) ON DELETE CASCADE);
INSERT INTO tree VALUES (1, 3), (2, 1), (3, 2), (4, 4);
CREATE TABLE a_child (id INT PRIMARY KEY, far INT, FOREIGN KEY (far) REFERENCES horrors_latin.z_parent (id));
CREATE TABLE horrors_latin.z_parent (id INT PRIMARY KEY);
INSERT INTO horrors_latin.z_parent VALUES (1);
INSERT INTO a_child VALUES (1, 1);

-- Other engines, formats and options.
CREATE TABLE my_isam (id INT PRIMARY KEY, v VARCHAR(20), FULLTEXT KEY (v)) ENGINE = MyISAM ROW_FORMAT = DYNAMIC CHECKSUM = 1;
INSERT INTO my_isam VALUES (3, 'c'), (1, 'a'), (2, NULL);
CREATE TABLE in_memory (id INT PRIMARY KEY, v VARCHAR(20)) ENGINE = MEMORY;
INSERT INTO in_memory VALUES (1, 'a');
CREATE TABLE as_csv (id INT NOT NULL, v VARCHAR(20) NOT NULL) ENGINE = CSV;
INSERT INTO as_csv VALUES (1, 'a"b,c\nd');
CREATE TABLE in_archive (id INT NOT NULL AUTO_INCREMENT, v TEXT, KEY (id)) ENGINE = ARCHIVE;
INSERT INTO in_archive (v) VALUES ('x'), (NULL);
CREATE TABLE black_hole (id INT) ENGINE = BLACKHOLE;
CREATE TABLE merged_1 (id INT, KEY (id)) ENGINE = MyISAM;
CREATE TABLE merged_2 (id INT, KEY (id)) ENGINE = MyISAM;
INSERT INTO merged_1 VALUES (1);
INSERT INTO merged_2 VALUES (2);
CREATE TABLE merged (id INT, KEY (id)) ENGINE = MRG_MYISAM UNION = (merged_1, merged_2) INSERT_METHOD = LAST;
CREATE TABLE options_ (id INT PRIMARY KEY COMMENT 'a ''comment'' with \n a line, AUTO_INCREMENT=9', v TEXT) ROW_FORMAT = COMPRESSED KEY_BLOCK_SIZE = 8 STATS_PERSISTENT = 0 COMMENT = 'x\n) ENGINE=InnoDB AUTO_INCREMENT=5 ''y''';
INSERT INTO options_ VALUES (1, REPEAT('z', 20000));
CREATE TABLE altered (id INT PRIMARY KEY, a INT);
INSERT INTO altered VALUES (1, 1);
ALTER TABLE altered ADD COLUMN b INT DEFAULT 5 FIRST, ALGORITHM = INSTANT;
INSERT INTO altered (id, a, b) VALUES (2, 2, 2);
ALTER TABLE altered DROP COLUMN a, ALGORITHM = INSTANT;
ALTER TABLE altered ADD COLUMN c VARCHAR(10) DEFAULT 'c', ALGORITHM = INSTANT;
CREATE TABLE `select` (`from` INT PRIMARY KEY, `a b` INT, `ü` INT, `日本` INT, `it's` INT, `back``tick` INT, `%s` INT, `"` INT, ```x``` INT, `$` INT);
INSERT INTO `select` VALUES (1, 2, 3, 4, 5, 6, 7, 8, 9, 10);
CREATE TABLE `odd ``name`` "x" ünï.%_-$ 日本`.`t ``1`` 日本 ; -- /* %d` (`id 1` INT PRIMARY KEY, `v` TEXT);
INSERT INTO `odd ``name`` "x" ünï.%_-$ 日本`.`t ``1`` 日本 ; -- /* %d` VALUES (1, 'x'), (2, NULL);
CREATE TABLE Case_Table (Id INT PRIMARY KEY, vAlue INT);
CREATE TABLE case_table (id INT PRIMARY KEY);
INSERT INTO Case_Table VALUES (1, 1);

-- Text in every character set, in tables that the procedure makes.
CREATE TABLE chars (id INT PRIMARY KEY, c CHAR(10), v VARCHAR(100), t TEXT, b VARCHAR(20) BINARY);
INSERT INTO chars VALUES (1, 'trail   ', 'trail   ', 'trail   ', 'trail   '), (2, '', '', '', ''), (3, NULL, NULL, NULL, NULL), (4, 'ß\tü\n', 'NULL', '\\N', '\0'), (5, '😀', CONCAT('nul', CHAR(0), '\\', '"', '\''), REPEAT('ü', 30000), 'x');
CREATE TABLE mixed_sets (id INT PRIMARY KEY, a VARCHAR(20) CHARACTER SET latin1, b VARCHAR(20) CHARACTER SET sjis, c VARCHAR(20) CHARACTER SET utf16, d VARCHAR(20) CHARACTER SET gb18030, e VARCHAR(20) CHARACTER SET utf8mb3 COLLATE utf8mb3_bin, f TEXT CHARACTER SET koi8r, g VARCHAR(20) CHARACTER SET cp1251 COLLATE cp1251_bin);
INSERT INTO mixed_sets VALUES (1, 'äöü', 'ソース', '日本😀', '中文😀', 'ü日', 'Привет', 'Привет'), (2, '', '', '', '', '', '', '');
DELIMITER $$
CREATE PROCEDURE make_sets()
BEGIN
  DECLARE done INT DEFAULT 0;
  DECLARE cs VARCHAR(64);
  DECLARE width INT;
  DECLARE byte INT;
  DECLARE sets CURSOR FOR SELECT CHARACTER_SET_NAME, MAXLEN FROM information_schema.CHARACTER_SETS WHERE CHARACTER_SET_NAME <> 'binary' ORDER BY 1;
  DECLARE CONTINUE HANDLER FOR NOT FOUND SET done = 1;
  OPEN sets;
  each_set: LOOP
    FETCH sets INTO cs, width;
    IF done THEN LEAVE each_set; END IF;
    SET @q = CONCAT('CREATE TABLE set_', cs, ' (id INT AUTO_INCREMENT PRIMARY KEY, c CHAR(8), v VARCHAR(60), t TEXT) CHARACTER SET ', cs);
    PREPARE s FROM @q; EXECUTE s; DEALLOCATE PREPARE s;
    START TRANSACTION;
    SET @q = CONCAT('INSERT INTO set_', cs, ' (c, v, t) VALUES (''ascii'', ''\\\\ '''' \\n \\t \\0 "'', ''x''), (''äöü'', ''ß é € ñ'', ''ÀÐØ''), (''日本語'', ''ソ表十 噂 能'', ''中文 한국어''), (''Ελλ'', ''Привет'', ''עברית ไทย العربية ქართ հայ''), (''😀'', ''𝒳'', ''žščř ąęł'')');
    PREPARE s FROM @q; EXECUTE s; DEALLOCATE PREPARE s;
    IF width = 1 AND cs NOT IN ('ascii', 'swe7') THEN
      SET byte = 128;
      WHILE byte < 256 DO
        SET @q = CONCAT('INSERT IGNORE INTO set_', cs, ' (c, v) VALUES (_', cs, ' X''', HEX(byte), ''', _', cs, ' X''20', HEX(byte), '41'')');
        PREPARE s FROM @q; EXECUTE s; DEALLOCATE PREPARE s;
        SET byte = byte + 1;
      END WHILE;
    END IF;
    COMMIT;
  END LOOP;
  CLOSE sets;
  SET SESSION group_concat_max_len = 1000000;
  SET @q = (WITH RECURSIVE n AS (SELECT 0 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 299) SELECT CONCAT('CREATE TABLE many_columns (id INT PRIMARY KEY, ', GROUP_CONCAT('c', i, IF(i % 3, ' SMALLINT', ' VARCHAR(5)') ORDER BY i), ')') FROM n);
  PREPARE s FROM @q; EXECUTE s; DEALLOCATE PREPARE s;
  INSERT INTO many_columns (id, c0, c298) VALUES (1, 'x', -1), (2, NULL, NULL);
END$$
DELIMITER ;
CALL make_sets();
DROP PROCEDURE make_sets;

-- Accounts.
CREATE USER 'fred'@'%' IDENTIFIED BY 'se''cret' REQUIRE SSL WITH MAX_QUERIES_PER_HOUR 100 PASSWORD EXPIRE INTERVAL 90 DAY FAILED_LOGIN_ATTEMPTS 3 PASSWORD_LOCK_TIME 2 COMMENT 'it''s fred';
CREATE USER 'o''dd `user` ü'@'10.0.0.0/255.0.0.0' IDENTIFIED BY 'x' PASSWORD HISTORY 5 ACCOUNT LOCK ATTRIBUTE '{"k": [1, "ü"]}';
CREATE USER ''@'localhost' IDENTIFIED BY 'anonymous';
CREATE USER 'no_password'@'%';
CREATE USER 'sha'@'%' IDENTIFIED WITH sha256_password BY 'old';
CREATE ROLE 'reader', 'writer'@'%', 'o''dd role';

-- A view that calls a function can only be made once the function's definer may run it.
GRANT EXECUTE ON horrors.* TO 'fred'@'%';

-- Views on views, the wrong way round by name; one that is broken.
CREATE VIEW z_base AS SELECT id, seen, hidden FROM invisible;
CREATE DEFINER = 'nobody'@'nowhere' SQL SECURITY INVOKER VIEW a_top (x, `y z`) AS SELECT id, hidden FROM z_base WHERE seen = 'it''s ü 日本' OR 1;
CREATE ALGORITHM = MERGE VIEW m_checked AS SELECT * FROM whole_numbers WHERE id > 0 WITH CASCADED CHECK OPTION;
CREATE TABLE will_go (id INT);
CREATE VIEW broken AS SELECT id FROM will_go;
DROP TABLE will_go;
DELIMITER $$
CREATE DEFINER = 'fred'@'%' FUNCTION twice(n INT) RETURNS INT DETERMINISTIC NO SQL COMMENT 'it''s ü' RETURN n * 2$$
SET SESSION sql_mode = 'ANSI_QUOTES,PIPES_AS_CONCAT,NO_BACKSLASH_ESCAPES'$$
CREATE FUNCTION in_ansi(a VARCHAR(20) CHARACTER SET latin1) RETURNS VARCHAR(40) CHARSET utf8mb4 DETERMINISTIC SQL SECURITY INVOKER
BEGIN
  /* a comment */ DECLARE "x y" VARCHAR(40) DEFAULT a || '\n'; -- one more
  RETURN "x y" || 'ü';
END$$
CREATE VIEW "in_ansi_view" AS SELECT "id" || '\' AS "c" FROM "text_key" CROSS JOIN (SELECT 1 AS "id") q$$
SET SESSION sql_mode = ''$$
CREATE VIEW uses_function AS SELECT twice(id) AS t FROM z_base$$
SET SESSION character_set_client = latin1, collation_connection = latin1_general_cs$$
CREATE PROCEDURE in_latin1(OUT o VARCHAR(20), INOUT i INT)
BEGIN
  SET o = 'ü', i = 1;
END$$
SET NAMES utf8mb4$$
CREATE PROCEDURE raw_bytes() SELECT _binary'ÿþ', X'FF', 'nul\0'$$
CREATE PROCEDURE empty_body() BEGIN END$$
SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ZERO_DATE'$$
CREATE DEFINER = 'fred'@'%' TRIGGER z_first BEFORE INSERT ON indexes FOR EACH ROW SET NEW.c = COALESCE(NEW.c, 1)$$
CREATE TRIGGER a_second BEFORE INSERT ON indexes FOR EACH ROW FOLLOWS z_first SET NEW.c = NEW.c * 2$$
CREATE TRIGGER m_between BEFORE INSERT ON indexes FOR EACH ROW PRECEDES a_second BEGIN IF NEW.c < 0 THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'it''s ü'; END IF; END$$
SET SESSION sql_mode = ''$$
CREATE TRIGGER after_delete AFTER DELETE ON tree FOR EACH ROW DELETE FROM no_key WHERE a = OLD.id$$
SET SESSION time_zone = '+05:30'$$
CREATE DEFINER = 'fred'@'%' EVENT daily ON SCHEDULE EVERY 1 DAY STARTS '2030-01-01 00:00:00' ENDS '2040-01-01 00:00:00' ON COMPLETION PRESERVE COMMENT 'it''s ü' DO BEGIN DELETE FROM no_rows WHERE v = 'ü'; END$$
CREATE EVENT off ON SCHEDULE AT '2037-01-01 00:00:00' DISABLE DO SELECT 1$$
SET SESSION time_zone = '+00:00'$$
USE horrors_latin$$
CREATE PROCEDURE of_latin_database(a VARCHAR(10)) SELECT a, 'ü'$$
DELIMITER ;
CREATE TABLE plain (id INT PRIMARY KEY, v VARCHAR(20));
INSERT INTO plain VALUES (1, 'ß');
USE horrors;

-- What they may do.
GRANT SELECT ON horrors.* TO 'reader';
GRANT INSERT, UPDATE (v), SELECT (k, v) ON horrors.text_key TO 'writer'@'%';
GRANT 'reader' TO 'writer'@'%' WITH ADMIN OPTION;
GRANT 'reader', 'writer'@'%', 'o''dd role' TO 'fred'@'%';
GRANT SELECT (v), INSERT (k) ON horrors.text_key TO 'fred'@'%' WITH GRANT OPTION;
GRANT EXECUTE ON PROCEDURE horrors.in_latin1 TO 'fred'@'%';
GRANT EXECUTE, ALTER ROUTINE ON FUNCTION horrors.twice TO 'fred'@'%' WITH GRANT OPTION;
GRANT ALL ON `odd ``name`` "x" ünï.%_-$ 日本`.* TO 'o''dd `user` ü'@'10.0.0.0/255.0.0.0';
GRANT BACKUP_ADMIN, XA_RECOVER_ADMIN ON *.* TO 'fred'@'%' WITH GRANT OPTION;
GRANT PROXY ON 'fred'@'%' TO 'no_password'@'%' WITH GRANT OPTION;
SET DEFAULT ROLE 'reader', 'o''dd role' TO 'fred'@'%';
GRANT SELECT, INSERT ON *.* TO 'no_password'@'%';
REVOKE INSERT ON horrors.* FROM 'no_password'@'%';
-- The session is as it was.
USE shop;
SET SESSION sql_mode = DEFAULT, time_zone = DEFAULT, foreign_key_checks = 1, group_concat_max_len = DEFAULT;
