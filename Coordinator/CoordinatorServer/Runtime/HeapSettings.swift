import CMalloc

/// How this process's heap gives memory back. glibc is made for many threads that allocate at once: it keeps an arena for each of
/// them, and what was freed in one stays there. A coordinator has few threads, and now and then needs several times its usual memory
/// for a moment: for a snapshot.
enum HeapSettings {
    /// To be called once, before anything much is allocated.
    static func apply() {
        // Consensus and its clients on one, all the rest on the other.
        mallopt(M_ARENA_MAX, 2)
        // Larger pieces are mapped, and unmapped when they are freed. Left alone, the bound rises with each one that is freed, and a
        // snapshot's copies end in the arenas.
        mallopt(M_MMAP_THRESHOLD, 256 << 10)
        mallopt(M_TRIM_THRESHOLD, 1 << 20)
    }

    /// Gives back whatever is free by whole pages.
    static func trim() { malloc_trim(0) }
}
