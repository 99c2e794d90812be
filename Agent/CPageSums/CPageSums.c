// SQLite believes what it reads. A bit that turned over on the disk changes a value, hides a row or joins two trees, and most of that
// no reader can tell from what was written. So this layer, which lies between SQLite and the files of a database, puts a checksum into
// eight bytes that each page keeps free at its end, when the page goes into the database, and compares it whenever the page is read.
// What fails is SQLITE_IOERR_DATA to whoever asked. The page's number is part of its checksum: a page in the wrong place fails too.
//
// - The write-ahead log has checksums of its own, but SQLite looks at them only after a crash. Here they are looked at whenever a page
//   is read out of the log: for a request, and before it goes from there into the database, with a checksum that would then be right.
// - The eight bytes are zero in memory and in the log. So a page that a program without this layer brings from the log into the
//   database has no checksum, and that is damage like any other: a page whose end was lost looks no different. Other programs may
//   read these files, and write nothing to them, checkpoints not either.
// - A page of which there is less than its size, or nothing but zeros, was never written or is lost: SQLite does not read such pages.
//   The one at the first gibibyte is never written, nor read: SQLite puts its locks there.
// - SQLite may ask for a part of a page, of a large value: the whole page is read and compared, and the part is given out.
// - Pages are never mapped into memory: nobody would look at them.
// - After a crash SQLite takes of its log what stands before the first frame that is not as it was written. That is right for the end
//   of it, which the disk may not have had yet. Of what has gone into the database already it would make a mix of old pages and new
//   ones, so a log that has lost some of that is found before SQLite sees it.
//
// The checksum is that of SQLite's own log, two sums of which each step mixes one into the other, begun with the page's number: every
// change within four bytes is found for certain, any other but for one in 2^64.

#define _GNU_SOURCE 1

#include "CPageSums.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// Where the system's memory cannot be gone past, files are read through it.
#ifndef O_DIRECT
#define O_DIRECT 0
#endif

const char *const page_sums_layer = "page-sums";

enum {
    log_header = 32,
    frame_header = 24,
    least_page = 512,
    most_page = 65536,
    database_header = 100,
    // Where a database's header says how large its pages are.
    page_size_place = 16,
    // And how many there are, since which change, and for which one that was written.
    change_place = 24,
    pages_place = 28,
    valid_for_place = 92,
    locked_byte = 0x40000000,
    // What SQLite >= 3.48 asks for before it reads parts of pages.
    reads_parts = 0x00008000,
    // For the file of the layer below, whichever that is; SQLite's own takes less than half of it.
    file_below = 512,
};

typedef struct {
    sqlite3_file base;
    int is_log;
    // The log's checksums count big-endian words; -1: not known yet.
    int is_big_endian;
    // A transaction too large for memory may write a frame's page anew, and mends the checksums from there on at its end. Until then
    // they are not to be believed by its own connection, and no other reads them.
    int64_t unsettled;
    // Of the database, or of the log's frames; 0: not known yet.
    int page_size;
    // Where the header ends that was written last.
    sqlite3_int64 header_end;
    _Alignas(8) unsigned char below[file_below];
} summed_file;

static _Thread_local page_sums_fault last_fault;

page_sums_fault page_sums_last_fault(void) { return last_fault; }

static sqlite3_file *below(sqlite3_file *file) { return (sqlite3_file *)((summed_file *)file)->below; }

// MARK: Checksums

static uint32_t word(const unsigned char *bytes, int is_big_endian) {
    return is_big_endian
        ? (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3]
        : (uint32_t)bytes[3] << 24 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[1] << 8 | bytes[0];
}

static void add(uint32_t sums[2], const unsigned char *bytes, int size, int is_big_endian) {
    uint32_t first = sums[0], second = sums[1];
    for (int index = 0; index + 8 <= size; index += 8) {
        first += word(bytes + index, is_big_endian) + second;
        second += word(bytes + index + 4, is_big_endian) + first;
    }
    sums[0] = first;
    sums[1] = second;
}

static void sum_page(const unsigned char *page, int size, int64_t offset, unsigned char sum[page_sums_reserved]) {
    uint64_t number = (uint64_t)(offset / size) + 1;
    uint32_t sums[2] = {(uint32_t)number, (uint32_t)(number >> 32) ^ 0x50534331};
    add(sums, page, size - page_sums_reserved, 0);
    // Zero says that there is none.
    if (sums[0] == 0 && sums[1] == 0) sums[0] = 1;
    for (int index = 0; index < 4; index++) {
        sum[index] = (unsigned char)(sums[0] >> 8 * index);
        sum[4 + index] = (unsigned char)(sums[1] >> 8 * index);
    }
}

static int is_zero(const unsigned char *bytes, int size) {
    return bytes[0] == 0 && memcmp(bytes, bytes + 1, (size_t)size - 1) == 0;
}

/// Looks at the page that stands at `offset` of a database.
static page_sums_verdict judge(const unsigned char *page, int size, int64_t offset) {
    unsigned char sum[page_sums_reserved];
    sum_page(page, size, offset, sum);
    const unsigned char *found = page + size - page_sums_reserved;
    int is_locks = offset <= locked_byte && locked_byte < offset + size;
    if (is_locks || memcmp(found, sum, page_sums_reserved) == 0) return page_sums_whole;
    if (!is_zero(found, page_sums_reserved)) return page_sums_changed;
    return is_zero(page, size) ? page_sums_blank : page_sums_unsummed;
}

static int fault(int64_t page, int in_log, page_sums_verdict verdict) {
    last_fault = (page_sums_fault){.page = page, .in_log = in_log, .verdict = verdict};
    return SQLITE_IOERR_DATA;
}

// MARK: The database

static int is_page_size(int size) { return size >= least_page && size <= most_page && (size & (size - 1)) == 0; }

/// The size of pages that a header says in two bytes; 0: it says none.
static int said_size(const unsigned char bytes[2]) {
    int size = bytes[0] << 8 | bytes[1];
    if (size == 1) size = most_page;
    return is_page_size(size) ? size : 0;
}

/// How large the page is, or those are, of which bytes are read or written; 0: of a database without a header nobody knows.
static int page_size(sqlite3_file *file, int amount, sqlite3_int64 offset) {
    summed_file *database = (summed_file *)file;
    unsigned char said[2];
    if (database->page_size == 0 && below(file)->pMethods->xRead(below(file), said, 2, page_size_place) == SQLITE_OK)
        database->page_size = said_size(said);
    if (database->page_size != 0) return database->page_size;
    return is_page_size(amount) && offset % amount == 0 ? amount : 0;
}

static int read_page(sqlite3_file *file, unsigned char *buffer, int amount, sqlite3_int64 offset) {
    int code = below(file)->pMethods->xRead(below(file), buffer, amount, offset);
    if (code == SQLITE_IOERR_SHORT_READ) {
        // Of a database that is being made SQLite asks for the first page too.
        sqlite3_int64 size = 0;
        int asked = below(file)->pMethods->xFileSize(below(file), &size);
        if (asked != SQLITE_OK) return asked;
        return size == 0 ? code : fault(offset / amount + 1, 0, page_sums_blank);
    }
    if (code != SQLITE_OK) return code;
    page_sums_verdict verdict = judge(buffer, amount, offset);
    if (verdict != page_sums_whole) return fault(offset / amount + 1, 0, verdict);
    memset(buffer + amount - page_sums_reserved, 0, page_sums_reserved);
    return SQLITE_OK;
}

/// Reads what is less than a page of `size` bytes, or begins within one.
static int read_part(sqlite3_file *file, unsigned char *buffer, int amount, sqlite3_int64 offset, int size) {
    unsigned char *page = malloc((size_t)size);
    if (page == NULL) return SQLITE_IOERR_NOMEM;
    int code = SQLITE_OK;
    while (amount > 0 && code == SQLITE_OK) {
        int within = (int)(offset % size), count = size - within < amount ? size - within : amount;
        code = read_page(file, page, size, offset - within);
        if (code == SQLITE_OK) memcpy(buffer, page + within, (size_t)count);
        buffer += count, offset += count, amount -= count;
    }
    free(page);
    return code;
}

static int write_page(sqlite3_file *file, const void *buffer, int amount, sqlite3_int64 offset) {
    // The buffer is this connection's own, and nobody looks at its end but this layer.
    unsigned char *page = (unsigned char *)buffer;
    if (offset == 0) ((summed_file *)file)->page_size = said_size(page + page_size_place);
    sum_page(page, amount, offset, page + amount - page_sums_reserved);
    int code = below(file)->pMethods->xWrite(below(file), page, amount, offset);
    memset(page + amount - page_sums_reserved, 0, page_sums_reserved);
    return code;
}

// MARK: The write-ahead log

/// The frame of pages of `size` bytes whose page, or whose header, begins at `offset`; -1: none does.
static int64_t frame(int size, sqlite3_int64 offset, int is_header) {
    sqlite3_int64 first = log_header + (is_header ? 0 : frame_header);
    if (!is_page_size(size) || offset < first || (offset - first) % (size + frame_header) != 0) return -1;
    return (offset - first) / (size + frame_header);
}

static int read_frame(sqlite3_file *file, unsigned char *page, int size, sqlite3_int64 offset) {
    summed_file *log = (summed_file *)file;
    sqlite3_file *lower = below(file);
    int code = lower->pMethods->xRead(lower, page, size, offset);
    int64_t number = frame(size, offset, 0);
    if (code != SQLITE_OK || number < 0 || number >= log->unsettled) return code;
    unsigned char start[log_header], header[frame_header], before[8];
    if (number == 0 || log->is_big_endian < 0) {
        code = lower->pMethods->xRead(lower, start, log_header, 0);
        if (code != SQLITE_OK) return code;
        // SQLite's magic number says it in its last bit.
        log->is_big_endian = start[3] & 1;
    }
    code = lower->pMethods->xRead(lower, header, frame_header, offset - frame_header);
    if (code != SQLITE_OK) return code;
    if (number == 0) {
        memcpy(before, start + log_header - 8, 8);
    } else {
        code = lower->pMethods->xRead(lower, before, 8, offset - frame_header - size - 8);
        if (code != SQLITE_OK) return code;
    }
    // What is stored of a checksum is always big-endian.
    uint32_t sums[2] = {word(before, 1), word(before + 4, 1)};
    add(sums, header, 8, log->is_big_endian);
    add(sums, page, size, log->is_big_endian);
    int is_right = sums[0] == word(header + 16, 1) && sums[1] == word(header + 20, 1);
    return is_right ? SQLITE_OK : fault(number + 1, 1, page_sums_changed);
}

static int write_log(sqlite3_file *file, const void *bytes, int amount, sqlite3_int64 offset) {
    summed_file *log = (summed_file *)file;
    if (offset == 0) {
        log->unsettled = INT64_MAX;
        log->is_big_endian = -1;
    } else if (amount == frame_header) {
        log->header_end = offset + amount;
        if (log->unsettled < INT64_MAX && frame(log->page_size, offset, 1) == log->unsettled) log->unsettled++;
    } else {
        int64_t number = frame(amount, offset, 0);
        if (number >= 0 && offset != log->header_end && number < log->unsettled) {
            log->unsettled = number;
            log->page_size = amount;
        }
        // Whatever comes to the same place without a header before it is written anew.
        log->header_end = -1;
    }
    return below(file)->pMethods->xWrite(below(file), bytes, amount, offset);
}

// MARK: A file

static int file_close(sqlite3_file *file) { return below(file)->pMethods->xClose(below(file)); }

static int file_read(sqlite3_file *file, void *buffer, int amount, sqlite3_int64 offset) {
    if (((summed_file *)file)->is_log) return read_frame(file, buffer, amount, offset);
    // The header alone is read when nobody knows yet whether it is being written; what counts of it is read again with its page.
    int size = offset + amount <= database_header ? 0 : page_size(file, amount, offset);
    if (size == 0) return below(file)->pMethods->xRead(below(file), buffer, amount, offset);
    if (size == amount && offset % size == 0) return read_page(file, buffer, amount, offset);
    return read_part(file, buffer, amount, offset, size);
}

static int file_write(sqlite3_file *file, const void *buffer, int amount, sqlite3_int64 offset) {
    if (((summed_file *)file)->is_log) return write_log(file, buffer, amount, offset);
    if (is_page_size(amount) && offset % amount == 0) return write_page(file, buffer, amount, offset);
    return below(file)->pMethods->xWrite(below(file), buffer, amount, offset);
}

static int file_truncate(sqlite3_file *file, sqlite3_int64 size) { return below(file)->pMethods->xTruncate(below(file), size); }
static int file_sync(sqlite3_file *file, int flags) { return below(file)->pMethods->xSync(below(file), flags); }
static int file_size(sqlite3_file *file, sqlite3_int64 *size) { return below(file)->pMethods->xFileSize(below(file), size); }
static int file_lock(sqlite3_file *file, int lock) { return below(file)->pMethods->xLock(below(file), lock); }
static int file_unlock(sqlite3_file *file, int lock) { return below(file)->pMethods->xUnlock(below(file), lock); }
static int file_reserved(sqlite3_file *file, int *is) { return below(file)->pMethods->xCheckReservedLock(below(file), is); }
static int file_control(sqlite3_file *file, int operation, void *argument) {
    return below(file)->pMethods->xFileControl(below(file), operation, argument);
}
static int file_sector(sqlite3_file *file) { return below(file)->pMethods->xSectorSize(below(file)); }
static int file_device(sqlite3_file *file) { return below(file)->pMethods->xDeviceCharacteristics(below(file)) & ~reads_parts; }
static int file_map(sqlite3_file *file, int region, int size, int extend, void volatile **memory) {
    return below(file)->pMethods->xShmMap(below(file), region, size, extend, memory);
}
static int file_shared_lock(sqlite3_file *file, int offset, int count, int flags) {
    return below(file)->pMethods->xShmLock(below(file), offset, count, flags);
}
static void file_barrier(sqlite3_file *file) { below(file)->pMethods->xShmBarrier(below(file)); }
static int file_unmap(sqlite3_file *file, int remove) { return below(file)->pMethods->xShmUnmap(below(file), remove); }

// Version 2 of the methods: with shared memory for the log's index, and with nothing that maps pages.
static const sqlite3_io_methods methods = {
    .iVersion = 2, .xClose = file_close, .xRead = file_read, .xWrite = file_write, .xTruncate = file_truncate,
    .xSync = file_sync, .xFileSize = file_size, .xLock = file_lock, .xUnlock = file_unlock, .xCheckReservedLock = file_reserved,
    .xFileControl = file_control, .xSectorSize = file_sector, .xDeviceCharacteristics = file_device, .xShmMap = file_map,
    .xShmLock = file_shared_lock, .xShmBarrier = file_barrier, .xShmUnmap = file_unmap,
};

// MARK: The layer

/// Whatever SQLite would take if it were not told of this layer, as it is now.
static sqlite3_vfs *lower(void) { return sqlite3_vfs_find(NULL); }

static int layer_open(sqlite3_vfs *layer, const char *name, sqlite3_file *file, int flags, int *opened) {
    (void)layer;
    file->pMethods = NULL;
    sqlite3_vfs *under = lower();
    if (under == NULL || under->szOsFile > file_below) return SQLITE_CANTOPEN;
    if (!(flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL))) return under->xOpen(under, name, file, flags, opened);
    summed_file *summed = (summed_file *)file;
    memset(summed, 0, sizeof *summed);
    summed->is_log = (flags & SQLITE_OPEN_WAL) != 0;
    summed->is_big_endian = -1;
    summed->unsettled = INT64_MAX;
    summed->header_end = -1;
    int code = under->xOpen(under, name, below(file), flags, opened);
    // SQLite closes a file that has methods, whether or not it was opened.
    if (below(file)->pMethods != NULL) file->pMethods = &methods;
    return code;
}

static int layer_delete(sqlite3_vfs *layer, const char *name, int sync) {
    (void)layer;
    return lower()->xDelete(lower(), name, sync);
}
static int layer_access(sqlite3_vfs *layer, const char *name, int flags, int *result) {
    (void)layer;
    return lower()->xAccess(lower(), name, flags, result);
}
static int layer_path(sqlite3_vfs *layer, const char *name, int size, char *path) {
    (void)layer;
    return lower()->xFullPathname(lower(), name, size, path);
}
static int layer_random(sqlite3_vfs *layer, int count, char *bytes) {
    (void)layer;
    return lower()->xRandomness(lower(), count, bytes);
}
static int layer_sleep(sqlite3_vfs *layer, int microseconds) {
    (void)layer;
    return lower()->xSleep(lower(), microseconds);
}
static int layer_time(sqlite3_vfs *layer, double *days) {
    (void)layer;
    return lower()->xCurrentTime(lower(), days);
}
static int layer_milliseconds(sqlite3_vfs *layer, sqlite3_int64 *milliseconds) {
    (void)layer;
    return lower()->xCurrentTimeInt64(lower(), milliseconds);
}
static int layer_error(sqlite3_vfs *layer, int size, char *text) {
    (void)layer;
    return lower()->xGetLastError(lower(), size, text);
}

int page_sums_register(void) {
    static sqlite3_vfs layer;
    if (sqlite3_vfs_find(page_sums_layer) != NULL) return SQLITE_OK;
    int code = sqlite3_initialize();
    sqlite3_vfs *under = code == SQLITE_OK ? lower() : NULL;
    // Version 2 knows the time in whole milliseconds; extensions are loaded by nobody here.
    if (under == NULL || under->iVersion < 2 || under->xCurrentTimeInt64 == NULL) return code == SQLITE_OK ? SQLITE_ERROR : code;
    layer = (sqlite3_vfs){
        .iVersion = 2, .szOsFile = sizeof(summed_file), .mxPathname = under->mxPathname, .zName = page_sums_layer,
        .xOpen = layer_open, .xDelete = layer_delete, .xAccess = layer_access, .xFullPathname = layer_path,
        .xRandomness = layer_random, .xSleep = layer_sleep, .xCurrentTime = layer_time, .xGetLastError = layer_error,
        .xCurrentTimeInt64 = layer_milliseconds,
    };
    return sqlite3_vfs_register(&layer, 0);
}

// MARK: Pages on their way

int64_t page_sums_odd_page(const void *pages, int page_size, int64_t first, int64_t count) {
    const unsigned char *bytes = pages;
    for (int64_t index = 0; index < count; index++) {
        int64_t offset = (first - 1 + index) * page_size;
        if (judge(bytes + index * page_size, page_size, offset) != page_sums_whole) return first + index;
    }
    return 0;
}

int page_sums_read(void *file, void *pages, int page_size, int64_t first, int count) {
    sqlite3_file *database = file;
    if (database->pMethods != &methods) return SQLITE_MISUSE;
    int64_t offset = (first - 1) * page_size;
    // What the file does not reach is filled with zeros, and is no page.
    int code = below(database)->pMethods->xRead(below(database), pages, count * page_size, offset);
    if (code != SQLITE_OK && code != SQLITE_IOERR_SHORT_READ) return code;
    int64_t odd = page_sums_odd_page(pages, page_size, first, count);
    if (odd == 0) return SQLITE_OK;
    const unsigned char *page = (const unsigned char *)pages + (odd - first) * page_size;
    return fault(odd, 0, judge(page, page_size, (odd - 1) * page_size));
}

// MARK: Looking at a file

/// What reads past the system's memory wants its buffers and places to be multiples of.
enum { disk_block = 4096 };

static int64_t read_up_to(int file, unsigned char *buffer, size_t size, int64_t offset) {
    size_t done = 0;
    int flags = fcntl(file, F_GETFL);
    int is_direct = flags >= 0 && (flags & O_DIRECT) != 0;
    while (done < size) {
        ssize_t count = pread(file, buffer + done, size - done, offset + (int64_t)done);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return -1;
        if (count == 0) break;
        done += (size_t)count;
        // Past the system's memory a read begins at a block, and the last one of a file ends within one; there is nothing behind it.
        if (is_direct && count % disk_block != 0) break;
    }
    return (int64_t)done;
}

int page_sums_open(const char *path) {
    int file = open(path, O_RDONLY | O_CLOEXEC | O_DIRECT);
    return file < 0 && errno == EINVAL ? open(path, O_RDONLY | O_CLOEXEC) : file;
}

static void look(page_sums_inspection *found, int file, int page_size, int64_t first, int64_t count) {
    void *buffer = NULL;
    found->error = posix_memalign(&buffer, disk_block, (size_t)(count * page_size));
    if (found->error != 0) return;
    int64_t offset = (first - 1) * page_size;
    int64_t size = read_up_to(file, buffer, (size_t)(count * page_size), offset);
    if (size < 0 && errno == EINVAL) {
        // A file system that takes the wish, and refuses to fulfil it.
        (void)fcntl(file, F_SETFL, 0);
        size = read_up_to(file, buffer, (size_t)(count * page_size), offset);
    }
    if (size < 0) found->error = errno;
    for (int64_t at = 0; at < size && found->damaged == 0; at += page_size, found->inspected++) {
        int is_cut = at + page_size > size;
        const unsigned char *page = (const unsigned char *)buffer + at;
        if (is_cut || judge(page, page_size, offset + at) != page_sums_whole) found->damaged = first + found->inspected;
    }
    free(buffer);
}

/// How many pages the database has by the word of its first page; 0: it does not say.
static int64_t said_pages(int file, int page_size) {
    void *buffer = NULL;
    if (posix_memalign(&buffer, disk_block, (size_t)page_size) != 0) return 0;
    const unsigned char *page = buffer;
    int64_t pages = 0;
    if (read_up_to(file, buffer, (size_t)page_size, 0) == page_size && judge(page, page_size, 0) == page_sums_whole) {
        // Only where it was written with the change that was counted last (sqlite.org/fileformat.html, 1.3.7).
        int is_valid = memcmp(page + change_place, page + valid_for_place, 4) == 0;
        pages = is_valid ? word(page + pages_place, 1) : 0;
    }
    free(buffer);
    return pages;
}

page_sums_inspection page_sums_inspect(int file, int page_size, int64_t first, int64_t count) {
    page_sums_inspection found = {0};
    struct stat status;
    if (fstat(file, &status) != 0) {
        found.error = errno;
        return found;
    }
    found.pages = (status.st_size + page_size - 1) / page_size;
    // An end that was cut off leaves no page that could fail.
    int64_t missing = found.pages + 1;
    int is_asked = count > 0 && first <= missing && missing - first < count;
    if (count > found.pages - first + 1) count = found.pages - first + 1;
    if (count > 0) look(&found, file, page_size, first, count);
    if (is_asked && found.error == 0 && found.damaged == 0 && (missing == 1 || said_pages(file, page_size) >= missing)) {
        found.damaged = missing;
        found.inspected++;
    }
    return found;
}

void page_sums_write_out(int file, int64_t offset, int64_t size) {
#ifdef SYNC_FILE_RANGE_WRITE
    (void)sync_file_range(file, offset, size, SYNC_FILE_RANGE_WRITE);
#endif
}

void page_sums_forget(int file) { (void)posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED); }

// MARK: Looking at a log

// The file beside a log in which SQLite keeps an index of it, and how far it has gone into the database; of this process's own byte
// order (sqlite.org/walformat.html). A crash leaves it as it was; the next start makes it anew.
enum {
    index_header = 48,
    index_last_frame = 16,
    index_salts = 32,
    index_sums = 40,
    // Frames up to this one may have been written to the database; before that SQLite has flushed the log.
    index_tried = 128,
    index_bytes = 136,
    log_page_size = 8,
    log_salts = 16,
    log_sums = 24,
    frame_salts = 8,
    frame_sums = 16,
};

static uint32_t native(const unsigned char *bytes) {
    uint32_t word;
    memcpy(&word, bytes, sizeof word);
    return word;
}

static int open_beside(const char *path, const char *suffix) {
    char *name = NULL;
    if (asprintf(&name, "%s%s", path, suffix) < 0) {
        errno = ENOMEM;
        return -1;
    }
    int file = open(name, O_RDONLY | O_CLOEXEC);
    free(name);
    return file;
}

/// How many frames of the log with these salts may be in the database.
/// - Returns: 0 where the index does not say so for certain; -1 with an error number.
static int64_t tried_frames(const char *path, unsigned char salts[8]) {
    unsigned char index[index_bytes];
    int file = open_beside(path, "-shm");
    if (file < 0) return errno == ENOENT ? 0 : -1;
    int64_t size = read_up_to(file, index, index_bytes, 0);
    int error = errno;
    close(file);
    errno = error;
    if (size < index_bytes) return size < 0 ? -1 : 0;
    uint32_t sums[2] = {0, 0};
    add(sums, index, index_sums, __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__);
    // There are two of these headers, and one may have been on its way when the process ended.
    int is_whole = memcmp(index, index + index_header, index_header) == 0 && sums[0] == native(index + index_sums)
        && sums[1] == native(index + index_sums + 4);
    uint32_t tried = native(index + index_tried);
    if (!is_whole || tried > native(index + index_last_frame)) return 0;
    memcpy(salts, index + index_salts, 8);
    return tried;
}

/// The first of the log's frames that is not as it was written.
/// - Returns: 0: none up to `last`, or it is another log; -1 with an error number.
static int64_t broken_frame(int log, const unsigned char salts[8], int64_t last) {
    unsigned char start[log_header];
    int64_t read = read_up_to(log, start, log_header, 0);
    // A log that was emptied is all in the database.
    if (read < log_header) return read < 0 ? -1 : 0;
    int is_big_endian = start[3] & 1;
    uint32_t sums[2] = {0, 0};
    add(sums, start, log_sums, is_big_endian);
    if (sums[0] != word(start + log_sums, 1) || sums[1] != word(start + log_sums + 4, 1)) return 1;
    if (memcmp(start + log_salts, salts, 8) != 0) return 0;
    uint32_t size = word(start + log_page_size, 1);
    if (size > most_page || !is_page_size((int)size)) return 1;
    unsigned char *frame = malloc(frame_header + size);
    if (frame == NULL) {
        errno = ENOMEM;
        return -1;
    }
    int64_t broken = 0;
    for (int64_t number = 1; number <= last && broken == 0; number++) {
        read = read_up_to(log, frame, frame_header + size, log_header + (number - 1) * (frame_header + size));
        add(sums, frame, 8, is_big_endian);
        add(sums, frame + frame_header, (int)size, is_big_endian);
        int is_right = read == frame_header + size && memcmp(frame + frame_salts, salts, 8) == 0
            && sums[0] == word(frame + frame_sums, 1) && sums[1] == word(frame + frame_sums + 4, 1);
        if (!is_right) broken = read < 0 ? -1 : number;
    }
    free(frame);
    return broken;
}

int64_t page_sums_lost_frame(const char *path) {
    unsigned char salts[8];
    int log = open_beside(path, "-wal");
    if (log < 0) return errno == ENOENT ? 0 : -1;
    // SQLite takes all that it finds there for frames that may be in the database, so a loss of power must not take them away any more.
    int64_t frame = fdatasync(log) == 0 ? tried_frames(path, salts) : -1;
    if (frame > 0) frame = broken_frame(log, salts, frame);
    int error = errno;
    close(log);
    errno = error;
    return frame;
}
