/* The references: the same work, written against SQLite's C interface.
**
** Every function returns SQLITE_OK or the code that stopped it. Checksums are those of `work.rs`: integers and the bits
** of reals are summed, a text or blob adds its length and its last byte.
*/
#include <sqlite3.h>
#include <stdint.h>
#include <string.h>

static uint64_t bits(double real) {
  uint64_t bits;
  memcpy(&bits, &real, sizeof bits);
  return bits;
}

static uint64_t bytes(const unsigned char *first, int length) {
  return (uint64_t)length + (length > 0 ? first[length - 1] : 0);
}

/* A code after which a loop over rows was complete: it ran out of rows, or it was told to stop on one. */
static int complete(int code) {
  return code == SQLITE_DONE || code == SQLITE_ROW ? SQLITE_OK : code;
}

/* The loop as it is usually written: the type of a column, then the column. */
int reference_scan_usual(sqlite3_stmt *statement, uint64_t limit, uint64_t *checksum) {
  int columns = sqlite3_column_count(statement);
  uint64_t sum = 0;
  int code = SQLITE_DONE;
  for (uint64_t rows = 0; rows < limit && (code = sqlite3_step(statement)) == SQLITE_ROW; rows++) {
    for (int column = 0; column < columns; column++) {
      switch (sqlite3_column_type(statement, column)) {
        case SQLITE_INTEGER:
          sum += (uint64_t)sqlite3_column_int64(statement, column);
          break;
        case SQLITE_FLOAT:
          sum += bits(sqlite3_column_double(statement, column));
          break;
        case SQLITE_TEXT: {
          const unsigned char *text = sqlite3_column_text(statement, column);
          sum += bytes(text, sqlite3_column_bytes(statement, column));
          break;
        }
        case SQLITE_BLOB: {
          const unsigned char *blob = sqlite3_column_blob(statement, column);
          sum += bytes(blob, sqlite3_column_bytes(statement, column));
          break;
        }
      }
    }
  }
  *checksum = sum;
  int reset = sqlite3_reset(statement);
  return reset != SQLITE_OK ? reset : complete(code);
}

/* The best known: one sqlite3_column_value per cell, and the value functions on it, which neither check nor lock. */
int reference_scan_best(sqlite3_stmt *statement, uint64_t limit, uint64_t *checksum) {
  int columns = sqlite3_column_count(statement);
  uint64_t sum = 0;
  int code = SQLITE_DONE;
  for (uint64_t rows = 0; rows < limit && (code = sqlite3_step(statement)) == SQLITE_ROW; rows++) {
    for (int column = 0; column < columns; column++) {
      sqlite3_value *value = sqlite3_column_value(statement, column);
      switch (sqlite3_value_type(value)) {
        case SQLITE_INTEGER:
          sum += (uint64_t)sqlite3_value_int64(value);
          break;
        case SQLITE_FLOAT:
          sum += bits(sqlite3_value_double(value));
          break;
        case SQLITE_TEXT: {
          const unsigned char *text = sqlite3_value_text(value);
          sum += bytes(text, sqlite3_value_bytes(value));
          break;
        }
        case SQLITE_BLOB: {
          const unsigned char *blob = sqlite3_value_blob(value);
          sum += bytes(blob, sqlite3_value_bytes(value));
          break;
        }
      }
    }
  }
  *checksum = sum;
  int reset = sqlite3_reset(statement);
  return reset != SQLITE_OK ? reset : complete(code);
}

/* Prepares a query, reads all rows as the best loop does, and finalizes it. */
int reference_query_once(sqlite3 *db, const char *sql, int length, uint64_t *checksum) {
  sqlite3_stmt *statement = NULL;
  int code = sqlite3_prepare_v2(db, sql, length, &statement, NULL);
  if (code != SQLITE_OK) return code;
  code = reference_scan_best(statement, UINT64_MAX, checksum);
  int finalized = sqlite3_finalize(statement);
  return code != SQLITE_OK ? code : finalized;
}

/* Steps and reads nothing: what SQLite itself takes for the rows. The checksum is 0. */
int reference_scan_step(sqlite3_stmt *statement, uint64_t limit, uint64_t *checksum) {
  int code = SQLITE_DONE;
  for (uint64_t rows = 0; rows < limit && (code = sqlite3_step(statement)) == SQLITE_ROW; rows++) {
  }
  *checksum = 0;
  int reset = sqlite3_reset(statement);
  return reset != SQLITE_OK ? reset : complete(code);
}

/* Text and integer of one row by its key, as it is usually written for a statement that is known. */
int reference_lookup(sqlite3_stmt *statement, const int64_t *keys, size_t count, uint64_t *checksum) {
  uint64_t sum = 0;
  for (size_t i = 0; i < count; i++) {
    sqlite3_bind_int64(statement, 1, keys[i]);
    int code = sqlite3_step(statement);
    if (code != SQLITE_ROW) return code;
    const unsigned char *text = sqlite3_column_text(statement, 0);
    sum += bytes(text, sqlite3_column_bytes(statement, 0));
    sum += (uint64_t)sqlite3_column_int64(statement, 1);
    code = sqlite3_reset(statement);
    if (code != SQLITE_OK) return code;
  }
  *checksum = sum;
  return SQLITE_OK;
}

/* The calls that finalite makes for it: types are checked, a second row is asked for. */
int reference_lookup_as_finalite(sqlite3_stmt *statement, const int64_t *keys, size_t count, uint64_t *checksum) {
  uint64_t sum = 0;
  for (size_t i = 0; i < count; i++) {
    sqlite3_bind_int64(statement, 1, keys[i]);
    int code = sqlite3_step(statement);
    if (code != SQLITE_ROW || sqlite3_data_count(statement) != 2) return code;
    sqlite3_value *value = sqlite3_column_value(statement, 0);
    if (sqlite3_value_type(value) != SQLITE_TEXT) return SQLITE_MISMATCH;
    const unsigned char *text = sqlite3_value_text(value);
    sum += bytes(text, sqlite3_value_bytes(value));
    value = sqlite3_column_value(statement, 1);
    if (sqlite3_value_type(value) != SQLITE_INTEGER) return SQLITE_MISMATCH;
    sum += (uint64_t)sqlite3_value_int64(value);
    code = sqlite3_step(statement);
    if (code != SQLITE_DONE) return code;
    code = sqlite3_reset(statement);
    if (code != SQLITE_OK) return code;
  }
  *checksum = sum;
  return SQLITE_OK;
}

/* The calls that rusqlite makes for it, through its cache; `second` for `query_one`, which asks for a second row. */
static int lookup_as_rusqlite(sqlite3_stmt *statement, const int64_t *keys, size_t count, uint64_t *checksum,
                              int second) {
  uint64_t sum = 0;
  for (size_t i = 0; i < count; i++) {
    if (sqlite3_bind_parameter_count(statement) != 1) return SQLITE_RANGE;
    sqlite3_bind_int64(statement, 1, keys[i]);
    int code = sqlite3_step(statement);
    if (code != SQLITE_ROW || sqlite3_column_count(statement) != 2) return code;
    if (sqlite3_column_type(statement, 0) != SQLITE_TEXT) return SQLITE_MISMATCH;
    const unsigned char *text = sqlite3_column_text(statement, 0);
    sum += bytes(text, sqlite3_column_bytes(statement, 0));
    if (sqlite3_column_count(statement) != 2) return SQLITE_MISMATCH;
    if (sqlite3_column_type(statement, 1) != SQLITE_INTEGER) return SQLITE_MISMATCH;
    sum += (uint64_t)sqlite3_column_int64(statement, 1);
    if (second && (code = sqlite3_step(statement)) != SQLITE_DONE) return code;
    code = sqlite3_reset(statement);
    if (code != SQLITE_OK) return code;
    sqlite3_clear_bindings(statement);
  }
  *checksum = sum;
  return SQLITE_OK;
}

int reference_lookup_as_rusqlite(sqlite3_stmt *statement, const int64_t *keys, size_t count, uint64_t *checksum) {
  return lookup_as_rusqlite(statement, keys, count, checksum, 0);
}

int reference_lookup_as_rusqlite_one(sqlite3_stmt *statement, const int64_t *keys, size_t count, uint64_t *checksum) {
  return lookup_as_rusqlite(statement, keys, count, checksum, 1);
}

/* A row for `reference_insert…`: laid out as `work::Record`. */
struct record {
  int64_t integer;
  const char *text;
  size_t text_length;
  double real;
};

/* Rows into a table, as it is usually written; text is not copied. */
int reference_insert(sqlite3_stmt *statement, const struct record *records, size_t count, uint64_t *checksum) {
  for (size_t i = 0; i < count; i++) {
    const struct record *record = &records[i];
    sqlite3_bind_int64(statement, 1, record->integer);
    sqlite3_bind_text(statement, 2, record->text, (int)record->text_length, SQLITE_STATIC);
    sqlite3_bind_double(statement, 3, record->real);
    int code = sqlite3_step(statement);
    if (code != SQLITE_DONE) return code;
    code = sqlite3_reset(statement);
    if (code != SQLITE_OK) return code;
  }
  *checksum = count;
  return SQLITE_OK;
}

/* The calls that finalite makes for it: the changes are counted, and what was borrowed is unbound. */
int reference_insert_as_finalite(sqlite3_stmt *statement, const struct record *records, size_t count,
                                 uint64_t *checksum) {
  sqlite3 *db = sqlite3_db_handle(statement);
  uint64_t changed = 0;
  for (size_t i = 0; i < count; i++) {
    const struct record *record = &records[i];
    if (sqlite3_get_autocommit(db)) return SQLITE_ABORT;
    sqlite3_bind_int64(statement, 1, record->integer);
    sqlite3_bind_text64(statement, 2, record->text, record->text_length, SQLITE_STATIC, SQLITE_UTF8);
    sqlite3_bind_double(statement, 3, record->real);
    int code = sqlite3_step(statement);
    if (code != SQLITE_DONE) return code;
    code = sqlite3_reset(statement);
    if (code != SQLITE_OK) return code;
    sqlite3_clear_bindings(statement);
    changed += (uint64_t)sqlite3_changes64(db);
  }
  *checksum = changed;
  return SQLITE_OK;
}

/* The calls that rusqlite makes for it; `cached` for a statement that its cache takes back each time. */
static int insert_as_rusqlite(sqlite3_stmt *statement, const struct record *records, size_t count, uint64_t *checksum,
                              int cached) {
  sqlite3 *db = sqlite3_db_handle(statement);
  uint64_t changed = 0;
  for (size_t i = 0; i < count; i++) {
    const struct record *record = &records[i];
    if (sqlite3_bind_parameter_count(statement) != 3) return SQLITE_RANGE;
    sqlite3_bind_int64(statement, 1, record->integer);
    sqlite3_bind_text64(statement, 2, record->text, record->text_length, SQLITE_TRANSIENT, SQLITE_UTF8);
    sqlite3_bind_double(statement, 3, record->real);
    int code = sqlite3_step(statement);
    int reset = sqlite3_reset(statement);
    if (code != SQLITE_DONE) return code;
    if (reset != SQLITE_OK) return reset;
    changed += (uint64_t)sqlite3_changes64(db);
    if (cached) sqlite3_clear_bindings(statement);
  }
  *checksum = changed;
  return SQLITE_OK;
}

int reference_insert_as_rusqlite(sqlite3_stmt *statement, const struct record *records, size_t count,
                                 uint64_t *checksum) {
  return insert_as_rusqlite(statement, records, count, checksum, 0);
}

int reference_insert_as_rusqlite_cached(sqlite3_stmt *statement, const struct record *records, size_t count,
                                        uint64_t *checksum) {
  return insert_as_rusqlite(statement, records, count, checksum, 1);
}

/* One column of one row by its key, as it is usually written. */
int reference_update(sqlite3_stmt *statement, const int64_t *keys, size_t count, uint64_t *checksum) {
  for (size_t i = 0; i < count; i++) {
    sqlite3_bind_int64(statement, 1, (int64_t)i);
    sqlite3_bind_int64(statement, 2, keys[i]);
    int code = sqlite3_step(statement);
    if (code != SQLITE_DONE) return code;
    code = sqlite3_reset(statement);
    if (code != SQLITE_OK) return code;
  }
  *checksum = count;
  return SQLITE_OK;
}

/* Columns for `reference_insert_columns`: laid out as `reference::CColumns`. */
struct bytes {
  const void *start;
  size_t length;
};

struct columns {
  const int64_t *id, *i1, *i2;
  const double *r1, *r2;
  const struct bytes *s1, *s2, *b;
};

/* Rows of columns into a table, each bound to a kept statement where it is. Without `has_id`, the first parameter is not
** bound. */
int reference_insert_columns(sqlite3_stmt *statement, const struct columns *columns, size_t count, int has_id) {
  for (size_t i = 0; i < count; i++) {
    if (has_id) sqlite3_bind_int64(statement, 1, columns->id[i]);
    sqlite3_bind_int64(statement, 2, columns->i1[i]);
    sqlite3_bind_int64(statement, 3, columns->i2[i]);
    sqlite3_bind_double(statement, 4, columns->r1[i]);
    sqlite3_bind_double(statement, 5, columns->r2[i]);
    sqlite3_bind_text(statement, 6, columns->s1[i].start, (int)columns->s1[i].length, SQLITE_STATIC);
    sqlite3_bind_text(statement, 7, columns->s2[i].start, (int)columns->s2[i].length, SQLITE_STATIC);
    sqlite3_bind_blob(statement, 8, columns->b[i].start, (int)columns->b[i].length, SQLITE_STATIC);
    int code = sqlite3_step(statement);
    if (code != SQLITE_DONE) return code;
    code = sqlite3_reset(statement);
    if (code != SQLITE_OK) return code;
  }
  return sqlite3_clear_bindings(statement);
}

/* Opens and reads one integer, with the settings that finalite opens with. The connection is the caller's to close,
** also after an error. */
int reference_open_and_query(const char *path, const char *sql, sqlite3 **db, uint64_t *sum) {
  sqlite3_stmt *statement = NULL;
  int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  int code = sqlite3_open_v2(path, db, flags, NULL);
  if (code == SQLITE_OK) code = sqlite3_busy_timeout(*db, 5000);
  if (code == SQLITE_OK) code = sqlite3_db_config(*db, SQLITE_DBCONFIG_ENABLE_FKEY, 1, (int *)NULL);
  if (code == SQLITE_OK) {
    code = sqlite3_prepare_v3(*db, sql, (int)strlen(sql), SQLITE_PREPARE_PERSISTENT, &statement, NULL);
  }
  if (code == SQLITE_OK) {
    code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
      *sum += (uint64_t)sqlite3_column_int64(statement, 0);
      code = complete(sqlite3_step(statement));
    }
  }
  sqlite3_finalize(statement);
  return code;
}

int reference_open(const char *path, const char *sql, uint64_t count, uint64_t *checksum) {
  *checksum = 0;
  for (uint64_t i = 0; i < count; i++) {
    sqlite3 *db = NULL;
    int code = reference_open_and_query(path, sql, &db, checksum);
    int closed = sqlite3_close(db);
    if (code != SQLITE_OK) return code;
    if (closed != SQLITE_OK) return closed;
  }
  return SQLITE_OK;
}

/* Allocates and frees, one block at a time, of 48, 88, ... 408 bytes in turn. */
int reference_malloc_and_free(uint64_t count, uint64_t *checksum) {
  for (uint64_t i = 0; i < count; i++) {
    void *block = sqlite3_malloc((int)(48 + 40 * (i % 10)));
    if (block == NULL) return SQLITE_NOMEM;
    sqlite3_free(block);
  }
  *checksum = count;
  return SQLITE_OK;
}

/* Prepares a query, reads the integers of its rows, and finalizes it. */
int reference_prepare(sqlite3 *db, const char *sql, uint64_t count, uint64_t *checksum) {
  int length = (int)strlen(sql);
  *checksum = 0;
  for (uint64_t i = 0; i < count; i++) {
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(db, sql, length, &statement, NULL);
    if (code != SQLITE_OK) return code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) *checksum += (uint64_t)sqlite3_column_int64(statement, 0);
    int finalized = sqlite3_finalize(statement);
    if (code != SQLITE_DONE) return code;
    if (finalized != SQLITE_OK) return finalized;
  }
  return SQLITE_OK;
}

/* Takes the small fast allocator from a connection that has not used it since it was opened. */
int reference_lookaside_off(sqlite3 *db) { return sqlite3_db_config(db, SQLITE_DBCONFIG_LOOKASIDE, NULL, 0, 0); }

/* Has SQLite count no memory. Before its first use. */
int reference_statistics_off(void) { return sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0); }

static void halve(sqlite3_context *context, int count, sqlite3_value **arguments) {
  (void)count;
  if (sqlite3_value_type(arguments[0]) != SQLITE_INTEGER) {
    sqlite3_result_error(context, "not an integer", -1);
    return;
  }
  sqlite3_result_int64(context, sqlite3_value_int64(arguments[0]) / 2);
}

static void measure(sqlite3_context *context, int count, sqlite3_value **arguments) {
  (void)count;
  if (sqlite3_value_type(arguments[0]) != SQLITE_TEXT || sqlite3_value_text(arguments[0]) == NULL) {
    sqlite3_result_error(context, "not a text", -1);
    return;
  }
  sqlite3_result_int64(context, sqlite3_value_bytes(arguments[0]));
}

/* Registers `c_half` of an integer and `c_bytes` of a text. Both check the type, as the drivers do; neither checks that
** text is UTF-8. */
int reference_functions(sqlite3 *db) {
  int code = sqlite3_create_function_v2(db, "c_half", 1, SQLITE_UTF8, NULL, halve, NULL, NULL, NULL);
  if (code != SQLITE_OK) return code;
  return sqlite3_create_function_v2(db, "c_bytes", 1, SQLITE_UTF8, NULL, measure, NULL, NULL, NULL);
}

static void count_update(void *count, int operation, const char *database, const char *table, sqlite3_int64 rowid) {
  (void)operation, (void)database, (void)rowid;
  *(uint64_t *)count += strlen(table);
}

/* Counts updates from now on; no longer with NULL. */
void reference_update_hook(sqlite3 *db, uint64_t *count) {
  sqlite3_update_hook(db, count == NULL ? NULL : count_update, count);
}

/* Reads or writes `count` pieces of the value `b.a` in the first row, from its beginning again after its end. */
int reference_blob(sqlite3 *db, int is_writing, unsigned char *piece, int size, uint64_t count, uint64_t *checksum) {
  sqlite3_blob *blob = NULL;
  int code = sqlite3_blob_open(db, "main", "b", "a", 1, is_writing, &blob);
  if (code != SQLITE_OK) return code;
  int length = sqlite3_blob_bytes(blob), at = 0;
  *checksum = 0;
  for (uint64_t i = 0; code == SQLITE_OK && i < count; i++) {
    if (at + size > length) at = 0;
    code = is_writing ? sqlite3_blob_write(blob, piece, size, at) : sqlite3_blob_read(blob, piece, size, at);
    *checksum += piece[0];
    at += size;
  }
  int closed = sqlite3_blob_close(blob);
  return code != SQLITE_OK ? code : closed;
}

/* Copies the database into another one, `pages` at a time. */
int reference_backup(sqlite3 *source, sqlite3 *destination, int pages, uint64_t *checksum) {
  sqlite3_backup *backup = sqlite3_backup_init(destination, "main", source, "main");
  if (backup == NULL) return sqlite3_errcode(destination);
  int code;
  while ((code = sqlite3_backup_step(backup, pages)) == SQLITE_OK) {
  }
  *checksum += (uint64_t)sqlite3_backup_pagecount(backup);
  int finished = sqlite3_backup_finish(backup);
  return code != SQLITE_DONE ? code : finished;
}
