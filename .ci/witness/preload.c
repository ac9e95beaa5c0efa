/*
** Preloaded into a program: counts what its executable asks of malloc, and still has. What libraries ask for themselves
** does not count; who frees a block does not matter.
*/
#define _GNU_SOURCE
#include <link.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* glibc's own, by the names under which it exports them. */
extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t count, size_t bytes);
extern void *__libc_realloc(void *block, size_t bytes);
extern void __libc_free(void *block);

enum { PLACES = 1 << 20 };
static struct {
  uintptr_t block; /* 0: never used; FREED: used before */
  size_t bytes;
} places[PLACES];
#define FREED ((uintptr_t)1)
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int64_t live_bytes, live_blocks;
static uintptr_t text_start, text_end;

static int find_text(struct dl_phdr_info *info, size_t size, void *unused) {
  (void)size, (void)unused;
  for (int n = 0; n < info->dlpi_phnum; n++) {
    const ElfW(Phdr) *part = &info->dlpi_phdr[n];
    if (part->p_type != PT_LOAD || !(part->p_flags & PF_X)) continue;
    text_start = info->dlpi_addr + part->p_vaddr;
    text_end = text_start + part->p_memsz;
  }
  return 1; /* the executable comes first */
}
__attribute__((constructor)) static void begin(void) { dl_iterate_phdr(find_text, NULL); }

static int is_executables(const void *caller) { return (uintptr_t)caller >= text_start && (uintptr_t)caller < text_end; }

static size_t first_place(uintptr_t block) { return (size_t)(((uint64_t)block * 0x9E3779B97F4A7C15u) >> 44) % PLACES; }

static void enter(void *block, size_t bytes) {
  size_t n = first_place((uintptr_t)block), steps;
  if (block == NULL) return;
  pthread_mutex_lock(&lock);
  for (steps = 0; places[n].block > FREED; steps++, n = (n + 1) % PLACES) if (steps == PLACES) abort();
  places[n].block = (uintptr_t)block;
  places[n].bytes = bytes;
  live_bytes += (int64_t)bytes;
  live_blocks++;
  pthread_mutex_unlock(&lock);
}

/* Whether it was there; `bytes` is then its size. */
static int leave(void *block, size_t *bytes) {
  size_t n = first_place((uintptr_t)block), steps;
  int found = 0;
  pthread_mutex_lock(&lock);
  for (steps = 0; steps < PLACES && places[n].block != 0; steps++, n = (n + 1) % PLACES) {
    if (places[n].block != (uintptr_t)block) continue;
    found = 1;
    *bytes = places[n].bytes;
    places[n].block = FREED;
    live_bytes -= (int64_t)places[n].bytes;
    live_blocks--;
    break;
  }
  pthread_mutex_unlock(&lock);
  return found;
}

void *malloc(size_t bytes) {
  void *block = __libc_malloc(bytes);
  if (is_executables(__builtin_return_address(0))) enter(block, bytes);
  return block;
}

void *calloc(size_t count, size_t bytes) {
  void *block = __libc_calloc(count, bytes);
  if (is_executables(__builtin_return_address(0))) enter(block, count * bytes);
  return block;
}

void *realloc(void *block, size_t bytes) {
  size_t before = 0;
  int is_ours = block == NULL ? is_executables(__builtin_return_address(0)) : leave(block, &before);
  void *moved = __libc_realloc(block, bytes);
  if (is_ours && moved != NULL) enter(moved, bytes);
  else if (is_ours && bytes > 0) enter(block, before);
  return moved;
}

void free(void *block) {
  size_t bytes;
  if (block == NULL) return;
  leave(block, &bytes);
  __libc_free(block);
}

int64_t witness_bytes(void) {
  int64_t bytes;
  pthread_mutex_lock(&lock);
  bytes = live_bytes;
  pthread_mutex_unlock(&lock);
  return bytes;
}

int64_t witness_blocks(void) {
  int64_t blocks;
  pthread_mutex_lock(&lock);
  blocks = live_blocks;
  pthread_mutex_unlock(&lock);
  return blocks;
}
