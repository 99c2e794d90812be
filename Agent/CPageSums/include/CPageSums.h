// A layer between SQLite and its files that knows when a page does not come back as it was written. See CPageSums.c.

#ifndef COXSWAIN_PAGE_SUMS_H
#define COXSWAIN_PAGE_SUMS_H

#include <stdint.h>

/// Under which name the layer is opened, once it is registered.
extern const char *const page_sums_layer;

/// Bytes that each page keeps free at its end: a database must be made with them.
enum { page_sums_reserved = 8 };

/// What becomes of a page that was looked at.
typedef enum { page_sums_whole, page_sums_unsummed, page_sums_damaged } page_sums_verdict;

/// Registers the layer beside the default one; safe to call once at a time.
/// - Returns: an SQLite result code.
int page_sums_register(void);

/// Looks at the page that stands at `offset` of a database.
page_sums_verdict page_sums_judge(const unsigned char *page, int size, int64_t offset);

/// A page that failed its checksum.
typedef struct {
    int64_t page;
    /// It was read from the write-ahead log; `page` counts its frames.
    int in_log;
} page_sums_fault;

/// The last one that was read on this thread; page 0: none.
page_sums_fault page_sums_last_fault(void);

#endif
