-- The workload of sqlite.sh; the script puts a number in place of @ROWS@.
-- Rows come from a linear congruence, so that every run sees the same ones.
PRAGMA temp_store = MEMORY;
PRAGMA cache_size = -400000;

CREATE TABLE customer (id INTEGER PRIMARY KEY, name TEXT NOT NULL, city TEXT, note TEXT);
CREATE TABLE purchase (id INTEGER PRIMARY KEY, customer INTEGER, item TEXT, price REAL, day INTEGER);

INSERT INTO customer
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1 + @ROWS@ / 4)
SELECT i, printf('customer-%06d', i * 7919 % 1000003), 'city' || (i * 31 % 211),
       CASE WHEN i % 5 THEN printf('%.*c', i % 90, char(97 + i % 26)) END
FROM n;

BEGIN;
INSERT INTO purchase
WITH RECURSIVE n(i, r) AS (
    SELECT 1, 12345 UNION ALL SELECT i + 1, (r * 1103515245 + 12345) & 2147483647 FROM n WHERE i < @ROWS@)
SELECT i, 1 + r % (1 + @ROWS@ / 4), printf('item %x of lot %d', r, i % 100), (r >> 8) % 10000 / 100.0, r % 730 FROM n;
COMMIT;

CREATE INDEX purchase_customer ON purchase (customer, day);
CREATE INDEX purchase_item ON purchase (item COLLATE NOCASE);
CREATE UNIQUE INDEX customer_name ON customer (name, id);

SELECT 'rows', (SELECT count(*) FROM customer), (SELECT count(*) FROM purchase);

SELECT 'cities', count(*), printf('%.2f', max(total)), printf('%.2f', sum(total)), sum(length(names))
FROM (SELECT city, sum(price) AS total, group_concat(name) AS names
      FROM customer JOIN purchase ON purchase.customer = customer.id GROUP BY city);

SELECT 'words', count(*), sum(n) FROM (
    SELECT upper(substr(replace(item, 'item', 'unit'), 1, 9)) AS word, count(*) AS n FROM purchase
    GROUP BY word ORDER BY n, word);

SELECT 'best', name, printf('%.2f', spent) FROM (
    SELECT name, sum(price) AS spent, rank() OVER (ORDER BY sum(price) DESC, customer.id) AS place
    FROM customer JOIN purchase ON purchase.customer = customer.id GROUP BY customer.id) WHERE place <= 5;

SELECT 'like', count(*), sum(instr(item, 'lot')) FROM purchase WHERE item LIKE '%ab%' OR item GLOB '*[7-9]f*';

UPDATE purchase SET item = item || ' / ' || hex(day), price = price * 1.1 WHERE day % 3 = 0;
DELETE FROM purchase WHERE day % 7 = 2;
UPDATE customer SET note = replace(coalesce(note, '') || name, '-', '--') WHERE id % 2;

CREATE TEMP TABLE summary AS
SELECT customer, json_group_array(item) AS items, count(*) AS n FROM purchase GROUP BY customer;
SELECT 'json', count(*), sum(length(items)), sum(json_array_length(items) = n) FROM summary;
SELECT 'order', id, item FROM purchase ORDER BY substr(item, -3), item DESC, id LIMIT 3;
SELECT 'notes', count(DISTINCT note), sum(length(note)) FROM customer;
PRAGMA integrity_check;
