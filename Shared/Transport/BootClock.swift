package import Model

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// The clock of everything that matters: monotonic, and it counts suspend (rule L2).
package enum BootClock {
    package static func now() -> LogicalInstant {
        var time = timespec()
        #if os(Linux)
            let clock = CLOCK_BOOTTIME
        #else
            let clock = CLOCK_MONOTONIC
        #endif
        // It fails only for a clock that the system has not, and every system that we run on has this one.
        precondition(clock_gettime(clock, &time) == 0, "the system has no boot clock: errno \(errno)")
        return LogicalInstant(microseconds: Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1_000)
    }

    /// The wall clock, for people and tokens only.
    package static func wallTime() -> WallTime {
        var time = timespec()
        precondition(clock_gettime(CLOCK_REALTIME, &time) == 0, "the system has no wall clock: errno \(errno)")
        return WallTime(milliseconds: Int64(time.tv_sec) * 1_000 + Int64(time.tv_nsec) / 1_000_000)
    }
}
