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
    /// Splits, merges, moves, transfers of primaries, and cancelled ones, as three operators ask for them.
    case operators

    /// How long nothing of a kind happens before the next, in seconds.
    var pause: ClosedRange<Double> {
        switch self {
        case .kill: 1...12
        case .stop: 1...15
        case .cut: 1...15
        case .zone: 15...60
        case .disk: 10...40
        case .restart: 40...120
        case .operators: 0.3...4
        }
    }

    /// Who makes it, each with draws of its own.
    var makers: [String] { self == .operators ? (1...3).map { "\(rawValue) \($0)" } : [rawValue] }

    /// From when on a plan has the time for one of them to have come about. A member may just be down; an operation may be refused, and is
    /// again as long as the cluster is unwell.
    fileprivate var patience: Duration { [.kill, .stop, .operators].contains(self) ? .seconds(45) : .seconds(2) }
}

/// What a run is to be.
struct ChaosPlan: Sendable {
    let seed: UInt64
    let span: Duration
    let kinds: [Trouble]

    /// Whether at least one trouble of a kind must have been made by the end.
    func isDue(_ kind: Trouble) -> Bool {
        kinds.contains(kind)
            && kind.makers.contains { maker in
                var random = self.random(for: maker)
                return random.span(kind.pause) + kind.patience < span
            }
    }

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
