// A layer between SQLite and its files that knows when a page does not come back as it was written. See CPageSums.c.

#ifndef COXSWAIN_PAGE_SUMS_H
#define COXSWAIN_PAGE_SUMS_H

#include <stdint.h>

/// Under which name the layer is opened, once it is registered.
extern const char *const page_sums_layer;

/// Bytes that each page keeps free at its end: a database must be made with them.
enum { page_sums_reserved = 8 };

/// What is found of a page: it is what was written; it is something else; it has contents and no checksum, since its end is lost or
/// another program wrote it; there is nothing of it.
typedef enum { page_sums_whole, page_sums_changed, page_sums_unsummed, page_sums_blank } page_sums_verdict;

/// Registers the layer beside the default one; safe to call once at a time.
/// - Returns: an SQLite result code.
int page_sums_register(void);

/// A page that failed its checksum.
typedef struct {
    int64_t page;
    /// It was read from the write-ahead log; `page` counts its frames.
    int in_log;
    page_sums_verdict verdict;
} page_sums_fault;

/// The last one that was read on this thread; page 0: none.
page_sums_fault page_sums_last_fault(void);

/// Reads pages of a database with their checksums, as they stand in its file, whatever its write-ahead log holds.
///
/// - Parameter file: SQLite's file of a database that was opened through the layer.
/// - Returns: an SQLite result code. A page that is not what was written is a fault, as when SQLite reads it.
int page_sums_read(void *file, void *pages, int page_size, int64_t first, int count);

/// The first of `count` pages from the one of number `first` on whose checksum is not its own; 0: none.
int64_t page_sums_odd_page(const void *pages, int page_size, int64_t first, int64_t count);

/// What came of looking at some pages of a file.
typedef struct {
    /// Pages of the whole file; a last one that is cut short counts.
    int64_t pages;
    /// How many of them were looked at.
    int64_t inspected;
    /// The first that failed, counted from 1; those behind it were not looked at. The first of those that the file has lost with its end
    /// counts, and the rest of them does not. 0: none.
    int64_t damaged;
    /// An error number, and then the rest means nothing.
    int error;
} page_sums_inspection;

/// Opens a file to look at its pages, as they are on the disk rather than in the system's memory, where that can be had.
///
/// Close it after every connection to the database: with the first descriptor of a file that is closed, a process loses all of its locks
/// on it, those of SQLite too.
/// - Returns: a descriptor, or -1 with an error number.
int page_sums_open(const char *path);

/// Looks at up to `count` pages from `first` on. A page that is written at this moment may fail: ask again when it is not.
page_sums_inspection page_sums_inspect(int file, int page_size, int64_t first, int64_t count);

/// Looks whether the write-ahead log of a database still has all that may have gone from it into the database, as far as the index
/// beside it tells.
///
/// Before anybody opens the database: the first connection makes the index anew, and a process that closes a descriptor of it loses its
/// locks there.
/// - Returns: the first frame that is not as it was written, counted from 1; 0: none; -1 with an error number.
int64_t page_sums_lost_frame(const char *path);

/// Has the system begin to write what is new in a part of the file, so that a flush of all of it has less to wait for.
void page_sums_write_out(int file, int64_t offset, int64_t size);

/// Has the system forget what it keeps of the file in memory, so that others too read it from the disk next.
void page_sums_forget(int file);

#endif
