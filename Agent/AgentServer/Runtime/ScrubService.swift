// Reads all storages of the node through, time and again, so that what the disk has lost is found before it is needed, while others
// still have it.

import AgentCore
import CoreMetrics
import Engine
import Model
import ServiceLifecycle
import Settings

/// How fast storages are read through.
struct ScrubPace: Hashable, Sendable {
    /// In which all of them are.
    let pass: Span
    let bytesPerSecond: Int64

    init(_ tuning: AgentFile.Tuning) {
        pass = .seconds(tuning.scrubSeconds ?? 86_400)
        bytesPerSecond = (tuning.scrubMebibytesPerSecond ?? 16) << 20
    }

    /// After a read of so many bytes, of so many in all.
    func pause(after bytes: Int, of total: UInt64) -> Span {
        let share = Double(bytes) / Double(max(total, 1))
        let steady = Span.milliseconds(Int64(Double(pass.milliseconds) * min(share, 1)))
        return max(steady, .milliseconds(Int64(bytes) * 1_000 / bytesPerSecond))
    }
}

struct ScrubService: Service {
    /// Pages of one step: what entries may wait for.
    private static let pages = 32
    /// Where there is nothing to read, it is looked again after at most so long.
    private static let idle = Span.seconds(60)
    /// Between two passes, whatever became of the first.
    private static let least = Span.milliseconds(200)

    let runtime: AgentRuntime
    let worker: EngineWorker
    let pace: ScrubPace
    let meters: AgentMeters

    func run() async throws {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                let storages = Set(await runtime.replicas.map(\.storage)).sorted()
                var total: UInt64 = 0
                for storage in storages {
                    if case .success(let file) = await worker.inspect(storage, from: 1, limit: 0) { total += file.fileBytes }
                }
                for storage in storages { await scrub(storage, total) }
                if total > 0 { meters.scrubs.increment(by: 1) }
                await rest(total > 0 ? Self.least : min(pace.pass, Self.idle))
            }
        }
    }

    private func scrub(_ storage: StorageID, _ total: UInt64) async {
        var page: UInt64 = 1
        // A storage that is gone, or cannot be read now, has its turn in the next pass, if there is one.
        while !Task.isCancelled,
            case .success(let found) = await worker.inspect(storage, from: page, limit: Self.pages), found.inspected > 0
        {
            meters.scrubbedBytes.increment(by: Int64(found.bytes))
            if found.damaged != nil { meters.damagedPages.increment(by: 1) }
            page += found.inspected
            await rest(pace.pause(after: found.bytes, of: total))
        }
    }

    private func rest(_ span: Span) async { try? await Task.sleep(for: .microseconds(span.microseconds)) }
}
