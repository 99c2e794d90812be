// Tasks on the threads of event loops. By default whatever a channel receives is handed to a thread of Swift's pool, and the answer back
// again: two wakings and two changes of threads for work of a few microseconds. A task that prefers the loop of its channel is run where
// its bytes arrived.
//
// Only for work that never blocks: while it runs, the loop's other connections wait.

package import NIOCore

/// Runs tasks on one event loop.
package final class LoopExecutor: TaskExecutor {
    private let loop: any EventLoop

    package init(_ loop: any EventLoop) { self.loop = loop }

    package func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        loop.execute { [self] in job.runSynchronously(on: asUnownedTaskExecutor()) }
    }
}
