import ArgumentParser
import Glibc
import Model

/// Kinds of trouble, each with somebody who makes it from time to time, all of them beside one another.
enum Trouble: String, CaseIterable, ExpressibleByArgument, Sendable {
    /// SIGKILL of a member, which is started again after a while.
    case kill
    /// SIGSTOP for 0.1 to 30 seconds.
    case stop
    /// One direction between two hosts, clients among them, or all of a host's.
    case cut
    /// A whole zone from the others.
    case zone
    /// No byte is free on an agent's disk.
    case disk
    /// All agents, all coordinators, or everybody, killed at once and started again.
    case restart
    /// Splits, moves, transfers of primaries, and cancelled ones, as an operator asks for them.
    case operators
}

/// What a run is to be.
struct ChaosPlan: Sendable {
    let seed: UInt64
    let span: Duration
    let kinds: [Trouble]

    /// A source of its own for each who draws, so that none depends on how fast another one is.
    func random(for who: String) -> SeededGenerator {
        var generator = SeededGenerator(seed: seed)
        for byte in who.utf8 { generator = SeededGenerator(seed: generator.next() ^ UInt64(byte)) }
        return generator
    }
}

extension SeededGenerator {
    /// Between two durations, short ones as likely as long ones: each doubling has the same share.
    mutating func span(_ range: ClosedRange<Double>) -> Duration {
        let share = Double.random(in: 0...1, using: &self)
        return .seconds(range.lowerBound * pow(range.upperBound / range.lowerBound, share))
    }

    mutating func one<Element>(of choices: [Element]) -> Element? { choices.randomElement(using: &self) }
}
