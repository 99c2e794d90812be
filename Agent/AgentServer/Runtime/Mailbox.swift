import Synchronization

/// Hands elements to one reader in batches: everything that has gathered while it worked on the batch before.
///
/// It has no bound of its own. Whoever puts things in says what bounds them: replies to our own requests are bounded by the
/// requests, messages from peers and callers are refused above a limit (`offer`).
final class Mailbox<Element: Sendable>: Sendable {
    private struct State {
        var elements: [Element] = []
        var reader: CheckedContinuation<Void, Never>?
        var isClosed = false
    }

    private let state = Mutex(State())

    var count: Int { state.withLock { $0.elements.count } }
    var isClosed: Bool { state.withLock { $0.isClosed } }

    /// Puts one in, whatever waits already.
    ///
    /// - Returns: whether it was taken; a closed box takes nothing.
    @discardableResult
    func put(_ element: Element) -> Bool { change { $0.append(element) } }

    /// Puts one in, and keeps of all that wait only the last in this order.
    func put(_ element: Element, keepingLastBy areInOrder: (Element, Element) -> Bool) {
        change { elements in
            elements.append(element)
            if let last = elements.max(by: areInOrder) { elements = [last] }
        }
    }

    @discardableResult
    private func change(_ body: (inout [Element]) -> Void) -> Bool {
        let (isTaken, reader) = state.withLock { state -> (Bool, CheckedContinuation<Void, Never>?) in
            guard !state.isClosed else { return (false, nil) }
            body(&state.elements)
            defer { state.reader = nil }
            return (true, state.reader)
        }
        reader?.resume()
        return isTaken
    }

    /// Puts one in unless `limit` wait already.
    func offer(_ element: Element, limit: Int) -> Bool {
        guard count < limit else { return false }
        put(element)
        return true
    }

    /// What has gathered, at least one; nil when the box is closed and empty. For one reader.
    func next() async -> [Element]? {
        while true {
            let (batch, isClosed) = state.withLock { state -> ([Element], Bool) in
                defer { state.elements = [] }
                return (state.elements, state.isClosed)
            }
            if !batch.isEmpty { return batch }
            if isClosed { return nil }
            await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
                let isReady = state.withLock { state -> Bool in
                    if !state.elements.isEmpty || state.isClosed { return true }
                    state.reader = continuation
                    return false
                }
                if isReady { continuation.resume() }
            }
        }
    }

    /// What has gathered so far, which may be nothing. For the one reader.
    func taken() -> [Element] {
        state.withLock { state in
            defer { state.elements = [] }
            return state.elements
        }
    }

    /// No more is taken; the reader gets what is left, then nil.
    func close() {
        let reader = state.withLock { state -> CheckedContinuation<Void, Never>? in
            state.isClosed = true
            defer { state.reader = nil }
            return state.reader
        }
        reader?.resume()
    }
}
