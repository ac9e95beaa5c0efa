/*
** SQLite's counting allocator. It takes blocks from malloc or from Rust's global allocator, and counts them for the
** process and for the connection in whose call they were allocated.
**
** Contract: https://sqlite.org/c3ref/mem_methods.html. SQLITE_CONFIG_MEMSTATUS is off, so SQLite takes no mutex around
** these functions, and any thread may call them at any time.
**
** The counters take no lock and, in the common case, no atomic read-modify-write, because allocation is frequent.
** Therefore each counter has one writer, wherever possible, and readers sum over the counters:
**
**                  +-----------+    every 32 KiB
**   thread 1 ----> | shard 1   | ------------------+
**                  +-----------+                   v
**   thread 2 ----> | shard 2   | -----------> total_bytes, total_peak  (for the limit and the peak)
**                  +-----------+                   ^
**   all others --> | shared    | ------------------+
**                  +-----------+    every change
**
**   a block:       | size | tag | account | bytes that SQLite requested |
**                                    |
**                                    v
**                  account of a connection: own_... words, foreign_... words
**
** Writers:
**   a shard      its thread alone, with plain loads and stores. A block may be freed by another thread than the one
**                that allocated it: a single shard's value may be negative, but the sum over all shards is correct.
**   the shared shard   threads that found all shards taken, or that have released theirs: atomic additions.
**   an account   its `own_...` words: calls on its connection, which one thread at a time makes, with plain loads and
**                stores. Its `foreign_...` words: all other code, with atomic additions. If both wrote one word, the
**                plain stores would overwrite additions.
**
** `struct finalite_...` is mirrored in allocator.rs; a test compares the layouts.
*/
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(_MSC_VER) && !defined(__clang__)
#include <intrin.h>
typedef volatile int64_t word;
#define THREAD_LOCAL __declspec(thread)
#define COLD __declspec(noinline)
#define UNLIKELY(x) (x)
#if defined(_WIN64)
#define LOAD(p) (*(p))
#define STORE(p, v) (*(p) = (v))
#else
#define LOAD(p) _InterlockedCompareExchange64((p), 0, 0)
#define STORE(p, v) store_interlocked((p), (v))
#endif
#define LOAD_ACQUIRE(p) _InterlockedCompareExchange64((p), 0, 0)
#define STORE_RELEASE(p, v) store_interlocked((p), (v))
static void store_interlocked(word *p, int64_t v) {
  int64_t seen;
  do { seen = LOAD(p); } while (_InterlockedCompareExchange64(p, v, seen) != seen);
}
static int64_t fetch_add(word *p, int64_t v) {
  int64_t seen;
  do { seen = LOAD(p); } while (_InterlockedCompareExchange64(p, seen + v, seen) != seen);
  return seen;
}
static int swap_if(word *p, int64_t expected, int64_t v) {
  return _InterlockedCompareExchange64(p, v, expected) == expected;
}
static unsigned highest_bit(uint32_t n) {
  unsigned long bit = 0;
  (void)_BitScanReverse(&bit, n);
  return (unsigned)bit;
}
#else
typedef int64_t word __attribute__((aligned(8)));
#define THREAD_LOCAL _Thread_local
#define COLD __attribute__((cold, noinline))
#define UNLIKELY(x) __builtin_expect(!!(x), 0)
#define LOAD(p) __atomic_load_n((p), __ATOMIC_RELAXED)
#define STORE(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define LOAD_ACQUIRE(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define STORE_RELEASE(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
static int64_t fetch_add(word *p, int64_t v) { return __atomic_fetch_add(p, v, __ATOMIC_RELAXED); }
static int swap_if(word *p, int64_t expected, int64_t v) {
  return __atomic_compare_exchange_n(p, &expected, v, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}
static unsigned highest_bit(uint32_t n) { return 31u - (unsigned)__builtin_clz(n); } /* n > 0 */
#endif

/* ---- declarations of SQLite's header, repeated so that a system SQLite needs no header file ---- */

struct mem_methods {
  void *(*xMalloc)(int);
  void (*xFree)(void *);
  void *(*xRealloc)(void *, int);
  int (*xSize)(void *);
  int (*xRoundup)(int);
  int (*xInit)(void *);
  void (*xShutdown)(void *);
  void *pAppData;
};
#ifdef FINALITE_LOADABLE
/* The SQLite of the program that loads the library is running, and has an allocator. */
static int sqlite3_config(int option, ...) {
  (void)option;
  return 21; /* SQLITE_MISUSE */
}
#else
extern int sqlite3_config(int, ...);
#endif
enum { SQLITE_OK = 0, SQLITE_CONFIG_MALLOC = 4, SQLITE_CONFIG_MEMSTATUS = 9 };

/* ---- counters ---- */

enum { SHARDS = 256, SIZES = 32 };
/* Largest difference between a shard's bytes and their part in `total_bytes`. */
enum { FLUSH = 32 * 1024 };

struct finalite_account {
  word own_bytes;
  word own_blocks;
  word peak_bytes;
  word foreign_bytes;
  word foreign_blocks;
};

struct finalite_shard {
  word bytes;       /* allocated by this thread minus freed by it */
  word flushed;     /* the part of `bytes` contained in `total_bytes` */
  word flush_above; /* value of `bytes` that requires a flush: FLUSH above `flushed`, once the shard is claimed */
  word flush_below;
  word allocated;  /* bytes in total */
  word reallocations;
  word frees;
  word is_taken;
  word sizes[SIZES]; /* number of allocations of at most 2^n bytes and more than 2^(n-1) */
};

struct finalite_totals {
  int64_t bytes;
  int64_t peak_bytes;
  int64_t limit_bytes; /* INT64_MAX: no limit */
  int64_t allocated;
  int64_t reallocations;
  int64_t frees;
  int64_t failures_system;
  int64_t failures_limit;
  int64_t failures_injected;
  int64_t foreign_blocks;
  int64_t sizes[SIZES];
};

/* Thread-local state. Rust sets `account` around its calls into SQLite. */
struct finalite_thread {
  struct finalite_shard *shard; /* NULL: none claimed yet, or the shared shard is used */
  struct finalite_account *account;
  word is_sharing;
  word countdown; /* fault injection: number of the allocation that fails, 1 for the next; 0: none */
  word fail_on;   /* 1: all later ones fail too */
  word failed;    /* allocations that the fault made fail since it was armed */
  word fault;     /* number of the fault */
};

/* Header before each block. Its 16 bytes preserve the alignment of malloc. */
struct header {
  uint32_t size;
  uint32_t tag;
  struct finalite_account *account;
#if UINTPTR_MAX == 0xffffffffu
  uint32_t spare;
#endif
};
typedef char header_is_16_bytes[sizeof(struct header) == 16 ? 1 : -1];
typedef char shard_is_whole_cache_lines[sizeof(struct finalite_shard) % 64 == 0 ? 1 : -1];

/* Tags of blocks that are in use, by their source. Any other tag means a block of another allocator or a freed one. */
#define TAG_SYSTEM 0xF17A117Eu
#define TAG_RUST 0xF17A115Eu
#define TAG_FREED 0xDEADF17Au

struct finalite_backend {
  void *(*allocate)(size_t bytes);
  void *(*reallocate)(void *block, size_t bytes_before, size_t bytes);
  void (*release)(void *block, size_t bytes);
};

#if defined(_MSC_VER)
__declspec(align(64))
#else
__attribute__((aligned(64)))
#endif
static struct finalite_shard shards[SHARDS];
static struct finalite_shard shared_shard;
static word total_bytes, total_peak, limit_bytes = INT64_MAX;
static word failures_system, failures_limit, failures_injected, foreign_blocks;
static word rust_backend; /* address of a `struct finalite_backend`, once one was set */
static word uses_rust;
static word has_key;
static word installed; /* 1: sqlite3_config accepted these methods */
static THREAD_LOCAL struct finalite_thread thread;

/* ---- shards and their threads ---- */

static void raise_peak(int64_t now) {
  int64_t peak = LOAD(&total_peak);
  while (now > peak && !swap_if(&total_peak, peak, now)) peak = LOAD(&total_peak);
}

static void flush_from(struct finalite_shard *shard, int64_t bytes) {
  STORE(&shard->flushed, bytes);
  STORE(&shard->flush_above, bytes + FLUSH);
  STORE(&shard->flush_below, bytes - FLUSH);
}

static COLD void flush(struct finalite_shard *shard) {
  int64_t bytes = LOAD(&shard->bytes);
  int64_t change = bytes - LOAD(&shard->flushed);
  flush_from(shard, bytes);
  raise_peak(fetch_add(&total_bytes, change) + change);
}

static void thread_ends(void *shard) {
  /* This comes first: blocks that this thread still frees in other destructors are counted in the shared shard. When a
  ** fiber ends, the current thread may be another than the shard's owner, and continue to run. */
  if (thread.shard == shard) {
    thread.shard = NULL;
    STORE(&thread.is_sharing, 1);
  }
  flush((struct finalite_shard *)shard);
  STORE_RELEASE(&((struct finalite_shard *)shard)->is_taken, 0);
}

#if defined(_WIN32)
#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#include <windows.h>
static DWORD thread_key = FLS_OUT_OF_INDEXES;
static void WINAPI fiber_ends(void *shard) {
  if (shard != NULL) thread_ends(shard);
}
static int make_key(void) { return (thread_key = FlsAlloc(fiber_ends)) != FLS_OUT_OF_INDEXES; }
static int watch_thread(void *shard) { return FlsSetValue(thread_key, shard) != 0; }
#else
#include <pthread.h>
static pthread_key_t thread_key;
static int make_key(void) { return pthread_key_create(&thread_key, thread_ends) == 0; }
static int watch_thread(void *shard) { return pthread_setspecific(thread_key, shard) == 0; }
#endif

/* Returns the calling thread's shard; NULL for the shared shard. */
static COLD struct finalite_shard *claim_shard(void) {
  int n;
  if (LOAD(&thread.is_sharing)) return NULL;
  /* Memory that `watch_thread` allocates is not SQLite's, so this function is not called recursively. */
  for (n = 0; n < SHARDS; n++) {
    struct finalite_shard *shard = &shards[n];
    if (LOAD(&shard->is_taken) || !swap_if(&shard->is_taken, 0, 1)) continue;
    if (!watch_thread(shard)) {
      STORE(&shard->is_taken, 0);
      break;
    }
    flush_from(shard, LOAD(&shard->flushed));
    return thread.shard = shard;
  }
  STORE(&thread.is_sharing, 1);
  return NULL;
}

/* Whether `more` bytes beyond those in `total_bytes` are allowed. */
static COLD int is_within_limit(int64_t more) {
  int64_t limit = LOAD(&limit_bytes);
  if (limit == INT64_MAX || LOAD(&total_bytes) + more <= limit) return 1;
  fetch_add(&failures_limit, 1);
  return 0;
}

static void add(word *p, int64_t v) { STORE(p, LOAD(p) + v); }

static COLD void count_shared(int64_t bytes, int64_t allocated, int64_t reallocations, int64_t frees) {
  int64_t now;
  fetch_add(&shared_shard.bytes, bytes);
  fetch_add(&shared_shard.allocated, allocated);
  fetch_add(&shared_shard.reallocations, reallocations);
  fetch_add(&shared_shard.frees, frees);
  now = fetch_add(&total_bytes, bytes) + bytes;
  if (bytes > 0) raise_peak(now);
}

/* Returns the histogram's index n: for sizes of at most 2^n and more than 2^(n-1). */
static unsigned size_class(uint32_t bytes) { return highest_bit(2 * bytes - 1); }

/* Charges the account of the connection that is in a call on this thread. */
static inline void charge_own(struct finalite_account *account, int64_t bytes, int64_t blocks) {
  int64_t own = LOAD(&account->own_bytes) + bytes;
  STORE(&account->own_bytes, own);
  if (blocks != 0) add(&account->own_blocks, blocks);
  if (bytes > 0) {
    int64_t now = own + LOAD(&account->foreign_bytes);
    if (now > LOAD(&account->peak_bytes)) STORE(&account->peak_bytes, now);
  }
}

static inline void charge(struct finalite_account *account, int64_t bytes, int64_t blocks) {
  if (account == NULL) return;
  if (account == thread.account) {
    charge_own(account, bytes, blocks);
  } else {
    fetch_add(&account->foreign_bytes, bytes);
    if (blocks != 0) fetch_add(&account->foreign_blocks, blocks);
  }
}

/* ---- fault injection: without effect until armed ---- */

#if defined(FINALITE_FAULT_INJECTION)
static word armed; /* faults armed and not yet disarmed; unless it is 0, freed memory is overwritten */
static word countdown_all, fail_on_all, failed_all, fault_all, last_fault;

static int is_due(word *countdown, word *on, word *failed) {
  for (;;) {
    int64_t left = LOAD(countdown);
    if (left == 0) return 0;
    if (left == 1 && LOAD(on)) break;
    if (!swap_if(countdown, left, left - 1)) continue;
    if (left > 1) return 0;
    break;
  }
  fetch_add(failed, 1);
  fetch_add(&failures_injected, 1);
  return 1;
}

static COLD int fails_now(void) {
  return is_due(&thread.countdown, &thread.fail_on, &thread.failed) || is_due(&countdown_all, &fail_on_all, &failed_all);
}
#define IS_ARMED() (LOAD(&armed) != 0)
#define MUST_FAIL() (UNLIKELY(IS_ARMED()) && fails_now())
#define POISON(block, bytes) do { if (UNLIKELY(LOAD(&armed))) memset((block), 0x5A, (bytes)); } while (0)

/* Arms the countdown of this thread or of all threads, replacing its previous fault. Returns the new fault's number. */
int64_t finalite_fault_arm(int64_t after, int sticky, int all) {
  int64_t fault = fetch_add(&last_fault, 1) + 1;
  STORE(all ? &fault_all : &thread.fault, fault);
  STORE(all ? &failed_all : &thread.failed, 0);
  STORE(all ? &fail_on_all : &thread.fail_on, sticky);
  STORE(all ? &countdown_all : &thread.countdown, after + 1);
  fetch_add(&armed, 1);
  return fault;
}

/* Disarms a fault; a replaced one is disarmed already. */
void finalite_fault_disarm(int64_t fault, int all) {
  fetch_add(&armed, -1);
  if (LOAD(all ? &fault_all : &thread.fault) == fault) STORE(all ? &countdown_all : &thread.countdown, 0);
}

/* Returns the number of allocations that the fault made fail; 0 for a replaced one. */
int64_t finalite_fault_failed(int64_t fault, int all) {
  if (LOAD(all ? &fault_all : &thread.fault) != fault) return 0;
  return LOAD(all ? &failed_all : &thread.failed);
}
#else
#define IS_ARMED() 0
#define MUST_FAIL() 0
#define POISON(block, bytes) ((void)0)
#endif

/* ---- memory methods ---- */

static const struct finalite_backend *rust(void) {
  return (const struct finalite_backend *)(intptr_t)LOAD_ACQUIRE(&rust_backend);
}

static COLD void *failed(void) {
  fetch_add(&failures_system, 1);
  return NULL;
}

/* Slow path: no shard, a flush, Rust's allocator, or an armed fault. */
static COLD void *allocate_unusually(int requested) {
  uint32_t bytes = (uint32_t)requested;
  struct finalite_shard *shard = thread.shard;
  struct header *header;
  int64_t unflushed;
  int is_rust;
  if (requested <= 0 || MUST_FAIL()) return NULL;
  if (shard == NULL) shard = claim_shard();
  unflushed = shard == NULL ? FLUSH : LOAD(&shard->bytes) - LOAD(&shard->flushed) + bytes;
  if (unflushed >= FLUSH && !is_within_limit(shard == NULL ? (int64_t)bytes : unflushed)) return NULL;
  is_rust = (int)LOAD_ACQUIRE(&uses_rust);
  header = is_rust ? rust()->allocate((size_t)bytes + sizeof *header) : malloc((size_t)bytes + sizeof *header);
  if (header == NULL) return failed();
  header->size = bytes;
  header->tag = is_rust ? TAG_RUST : TAG_SYSTEM;
  header->account = thread.account;
  if (shard == NULL) {
    count_shared(bytes, bytes, 0, 0);
    fetch_add(&shared_shard.sizes[size_class(bytes)], 1);
  } else {
    add(&shard->bytes, bytes);
    add(&shard->allocated, bytes);
    add(&shard->sizes[size_class(bytes)], 1);
    if (unflushed >= FLUSH) flush(shard);
  }
  charge(header->account, bytes, 1);
  return header + 1;
}

static void *counting_malloc(int requested) {
  uint32_t bytes = (uint32_t)requested; /* a negative size becomes so large that the flush check below is true */
  struct finalite_shard *shard = thread.shard;
  struct finalite_account *account;
  struct header *header;
  if (UNLIKELY(shard == NULL || LOAD(&uses_rust) || IS_ARMED())) return allocate_unusually(requested);
  if (UNLIKELY(LOAD(&shard->bytes) + bytes >= LOAD(&shard->flush_above))) return allocate_unusually(requested);
  header = malloc((size_t)bytes + sizeof *header);
  if (UNLIKELY(header == NULL)) return failed();
  account = thread.account;
  header->size = bytes;
  header->tag = TAG_SYSTEM;
  header->account = account;
  add(&shard->bytes, bytes);
  add(&shard->allocated, bytes);
  add(&shard->sizes[size_class(bytes)], 1);
  if (account != NULL) charge_own(account, bytes, 1);
  return header + 1;
}

static int is_ours(const struct header *header) { return header->tag == TAG_SYSTEM || header->tag == TAG_RUST; }

static void count_freed(int64_t bytes) {
  struct finalite_shard *shard = thread.shard;
  if (shard == NULL) shard = claim_shard();
  if (shard == NULL) {
    count_shared(-bytes, 0, 0, 1);
    return;
  }
  add(&shard->bytes, -bytes);
  add(&shard->frees, 1);
  if (LOAD(&shard->bytes) <= LOAD(&shard->flush_below)) flush(shard);
}

/* Slow path: no shard, a flush, a block of Rust's allocator or of an unknown one, or an armed fault. */
static COLD void free_unusually(struct header *header) {
  uint32_t bytes, tag = header->tag;
  if (!is_ours(header)) {
    /* A block of another allocator, or freed before: it cannot be freed safely, so it is not touched. */
    fetch_add(&foreign_blocks, 1);
    return;
  }
  bytes = header->size;
  count_freed(bytes);
  charge(header->account, -(int64_t)bytes, -1);
  POISON(header + 1, bytes);
  header->tag = TAG_FREED;
  if (tag == TAG_RUST) rust()->release(header, (size_t)bytes + sizeof *header);
  else free(header);
}

/* Here and in `counting_malloc`, slow paths are tail calls: the fast path saves no registers for them. */
static void counting_free(void *block) {
  struct header *header = (struct header *)block - 1;
  struct finalite_shard *shard = thread.shard;
  int64_t bytes, left;
  if (UNLIKELY(block == NULL)) return;
  if (UNLIKELY(header->tag != TAG_SYSTEM || shard == NULL || IS_ARMED())) {
    free_unusually(header);
    return;
  }
  bytes = header->size;
  left = LOAD(&shard->bytes) - bytes;
  if (UNLIKELY(left <= LOAD(&shard->flush_below))) {
    free_unusually(header);
    return;
  }
  STORE(&shard->bytes, left);
  add(&shard->frees, 1);
  charge(header->account, -bytes, -1);
  header->tag = TAG_FREED;
  free(header);
}

static void *move_to(struct header *header, int is_rust, uint32_t before, uint32_t bytes) {
#if defined(FINALITE_FAULT_INJECTION)
  if (LOAD(&armed)) {
    /* The block always moves, so that a use of the old address is detected. */
    struct header *moved = is_rust ? rust()->allocate((size_t)bytes + sizeof *moved) : malloc((size_t)bytes + sizeof *moved);
    if (moved == NULL) return NULL;
    memcpy(moved, header, sizeof *moved + (before < bytes ? before : bytes));
    POISON(header, (size_t)before + sizeof *header);
    if (is_rust) rust()->release(header, (size_t)before + sizeof *header);
    else free(header);
    return moved;
  }
#endif
  if (UNLIKELY(is_rust)) return rust()->reallocate(header, (size_t)before + sizeof *header, (size_t)bytes + sizeof *header);
  return realloc(header, (size_t)bytes + sizeof *header);
}

static void *counting_realloc(void *block, int requested) {
  struct header *header = (struct header *)block - 1;
  struct finalite_shard *shard = thread.shard;
  uint32_t before, bytes = (uint32_t)requested;
  int64_t growth, unflushed;
  if (UNLIKELY(block == NULL || requested <= 0) || MUST_FAIL()) return NULL;
  if (UNLIKELY(!is_ours(header))) {
    fetch_add(&foreign_blocks, 1);
    return NULL;
  }
  before = header->size;
  growth = (int64_t)bytes - before;
  if (UNLIKELY(shard == NULL)) shard = claim_shard();
  unflushed = shard == NULL ? FLUSH : LOAD(&shard->bytes) - LOAD(&shard->flushed) + growth;
  if (growth > 0 && UNLIKELY(unflushed >= FLUSH) && !is_within_limit(shard == NULL ? growth : unflushed)) return NULL;
  header = move_to(header, header->tag == TAG_RUST, before, bytes);
  if (UNLIKELY(header == NULL)) {
    fetch_add(&failures_system, 1);
    return NULL;
  }
  header->size = bytes;
  if (UNLIKELY(shard == NULL)) {
    count_shared(growth, growth > 0 ? growth : 0, 1, 0);
  } else {
    add(&shard->bytes, growth);
    if (growth > 0) add(&shard->allocated, growth);
    add(&shard->reallocations, 1);
    if (UNLIKELY(unflushed >= FLUSH || unflushed <= -FLUSH)) flush(shard);
  }
  charge(header->account, growth, 0);
  return header + 1;
}

static int counting_size(void *block) {
  const struct header *header = (const struct header *)block - 1;
  return block != NULL && is_ours(header) ? (int)header->size : 0;
}

static int counting_roundup(int bytes) { return (bytes + 7) & ~7; }
static int counting_init(void *unused) { (void)unused; return SQLITE_OK; }
static void counting_shutdown(void *unused) { (void)unused; }

static const struct mem_methods methods = {
  counting_malloc, counting_free, counting_realloc, counting_size, counting_roundup, counting_init, counting_shutdown, NULL,
};

/* ---- functions called by Rust ---- */

/*
** Installs this allocator in SQLite, which accepts one only before its first use. Returns SQLite's result code, and
** SQLITE_OK if it is installed already. sqlite3_config() "is not threadsafe": no other thread may use SQLite during the
** call.
*/
int finalite_allocator_install(void) {
  int code;
  if (LOAD(&installed)) return SQLITE_OK;
  if (!LOAD(&has_key)) {
    if (!make_key()) return 7; /* SQLITE_NOMEM */
    STORE(&has_key, 1);
  }
  code = sqlite3_config(SQLITE_CONFIG_MALLOC, &methods);
  if (code == SQLITE_OK) code = sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
  if (code == SQLITE_OK) STORE(&installed, 1);
  return code;
}

int finalite_allocator_is_installed(void) { return (int)LOAD(&installed); }

struct finalite_thread *finalite_allocator_thread(void) {
  return &thread;
}

static void sum(struct finalite_totals *totals, const struct finalite_shard *shard) {
  int n;
  totals->allocated += LOAD(&shard->allocated);
  totals->reallocations += LOAD(&shard->reallocations);
  totals->frees += LOAD(&shard->frees);
  for (n = 0; n < SIZES; n++) totals->sizes[n] += LOAD(&shard->sizes[n]);
}

void finalite_allocator_totals(struct finalite_totals *totals) {
  int n;
  memset(totals, 0, sizeof *totals);
  /* This is not the sum of the shards' bytes: a reader that is delayed between two shards would add values that never
  ** existed at one time. The difference of each shard from its part in `total_bytes` is bounded instead. */
  totals->bytes = LOAD(&total_bytes);
  for (n = 0; n < SHARDS; n++) {
    int64_t held_back = LOAD(&shards[n].bytes) - LOAD(&shards[n].flushed);
    totals->bytes += held_back > FLUSH ? FLUSH : held_back < -FLUSH ? -FLUSH : held_back;
    sum(totals, &shards[n]);
  }
  sum(totals, &shared_shard);
  raise_peak(totals->bytes);
  totals->peak_bytes = LOAD(&total_peak);
  totals->limit_bytes = LOAD(&limit_bytes);
  totals->failures_system = LOAD(&failures_system);
  totals->failures_limit = LOAD(&failures_limit);
  totals->failures_injected = LOAD(&failures_injected);
  totals->foreign_blocks = LOAD(&foreign_blocks);
}

/* Raises the peak of the process to the peak of one connection. */
void finalite_allocator_raise_peak(int64_t bytes) { raise_peak(bytes); }

void finalite_allocator_set_limit(int64_t bytes) { STORE(&limit_bytes, bytes); }

/* Selects Rust's global allocator or malloc for new blocks. Each block is freed by the allocator it came from. */
void finalite_allocator_use_rust(const struct finalite_backend *backend, int use) {
  STORE_RELEASE(&rust_backend, (intptr_t)backend);
  STORE_RELEASE(&uses_rust, use);
}

int finalite_allocator_uses_rust(void) { return (int)LOAD(&uses_rust); }

/* Sizes and offsets of the structs that Rust mirrors, for the test that compares them. */
int finalite_allocator_layout(size_t *out, int capacity) {
  const size_t layout[] = {
    sizeof(struct finalite_account), offsetof(struct finalite_account, own_bytes),
    offsetof(struct finalite_account, own_blocks), offsetof(struct finalite_account, peak_bytes),
    offsetof(struct finalite_account, foreign_bytes), offsetof(struct finalite_account, foreign_blocks),
    sizeof(struct finalite_thread), offsetof(struct finalite_thread, account),
    sizeof(struct finalite_totals), offsetof(struct finalite_totals, limit_bytes),
    offsetof(struct finalite_totals, failures_injected), offsetof(struct finalite_totals, sizes),
    sizeof(struct finalite_backend), sizeof(struct mem_methods), sizeof(struct header),
  };
  int n, count = (int)(sizeof layout / sizeof layout[0]);
  for (n = 0; n < count && n < capacity; n++) out[n] = layout[n];
  return count;
}

/* ---- installation before main ---- */

#if defined(FINALITE_INSTALL)
#if defined(_WIN32)
/* The C library's copy of the environment may not exist yet on Windows, so it is read from the system. */
static int wants_stock(void) {
  char value[8];
  DWORD len = GetEnvironmentVariableA("FINALITE_ALLOCATOR", value, sizeof value);
  return len == 5 && memcmp(value, "stock", 5) == 0;
}
#else
static int wants_stock(void) {
  const char *value = getenv("FINALITE_ALLOCATOR");
  return value != NULL && strcmp(value, "stock") == 0;
}
#endif

#if defined(_MSC_VER)
static void __cdecl install_first(void)
#else
__attribute__((constructor)) static void install_first(void)
#endif
{
  if (!wants_stock()) (void)finalite_allocator_install();
}

#if defined(_MSC_VER)
#pragma section(".CRT$XCU", read)
__declspec(allocate(".CRT$XCU")) void (__cdecl *finalite_install_first)(void) = install_first;
#if defined(_WIN64)
#pragma comment(linker, "/include:finalite_install_first")
#else
#pragma comment(linker, "/include:_finalite_install_first")
#endif
#endif
#endif
