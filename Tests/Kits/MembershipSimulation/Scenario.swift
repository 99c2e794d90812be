// What a failure detector must survive, one story each, named by its sentence and by its label in the design.

package import Membership
import Model
package import SimulationKit

package struct Scenario: Sendable, CustomStringConvertible {
    package let label: String
    package let sentence: String
    private let tell: @Sendable (inout Trial) throws(Violation) -> Void

    init(_ label: String, _ sentence: String, _ tell: @escaping @Sendable (inout Trial) throws(Violation) -> Void) {
        self.label = label
        self.sentence = sentence
        self.tell = tell
    }

    package var description: String { "\(label): \(sentence)" }

    /// Tells the story once.
    /// - Returns: its figures, and a digest of all that happened.
    package func run(seed: UInt64, mutant: SwimMutant? = nil) throws(Violation) -> Trial {
        var trial = Trial(seed: seed, mutant: mutant)
        do {
            try tell(&trial)
        } catch {
            throw Violation("\(label) seed \(seed): \(error)")
        }
        return trial
    }

    package static let all: [Scenario] =
        detection + judging + healing + joining + order + limits + reporting + keys + seals + rules + profiles
    package static func named(_ label: String) -> Scenario? { all.first { $0.label == label } }

    /// What only sockets can show: there is nothing here that would have to end.
    package static let elsewhere: [(label: String, sentence: String)] = [
        ("C28", "a member under traffic shuts down within a second and leaves no task behind")
    ]
}

/// One telling of a story.
package struct Trial {
    package let seed: UInt64
    let mutant: SwimMutant?
    package private(set) var figures: [(name: String, value: String)] = []
    /// Of all worlds of the story, one after the other.
    package private(set) var digest: UInt64 = 0
    private var worlds: UInt64 = 0

    init(seed: UInt64, mutant: SwimMutant?) {
        self.seed = seed
        self.mutant = mutant
    }

    func tuned(_ tuning: SwimTuning) -> SwimTuning {
        var tuning = tuning
        #if MUTANTS
            tuning.mutant = mutant
        #endif
        return tuning
    }

    mutating func world(_ tuning: SwimTuning = .fast) -> World {
        worlds += 1
        return World(seed: seed &* 1_000 &+ worlds, tuning: tuned(tuning))
    }

    /// A settled cluster.
    mutating func cluster(_ count: Int, _ tuning: SwimTuning = .fast) throws(Violation) -> World {
        var world = world(tuning)
        try world.settle(count)
        return world
    }

    mutating func note(_ name: String, _ value: String) { figures.append((name, value)) }
    mutating func note(_ name: String, _ value: Span) { note(name, "\(Double(value.milliseconds) / 1_000) s") }
    mutating func note(_ name: String, _ value: Int) { note(name, "\(value)") }

    mutating func close(_ world: World) {
        digest = (digest ^ world.trace.digest) &* 0x0000_0100_0000_01B3
        digest ^= digest >> 29
    }

    /// A story of one member: what that holds in the end, and what it has done.
    mutating func close(_ swim: Swim) {
        for byte in "\(swim.members) \(swim.ownRecord) \(swim.counters)".utf8 {
            digest = (digest ^ UInt64(byte)) &* 0x0000_0100_0000_01B3
        }
    }

    func require(_ holds: Bool, _ what: @autoclosure () -> String) throws(Violation) {
        if !holds { throw Violation(what()) }
    }

    /// What took at most `limit`.
    func require(_ time: Span?, within limit: Span, _ what: @autoclosure () -> String) throws(Violation) -> Span {
        guard let time else { throw Violation("\(what()): not at all") }
        if time > limit { throw Violation("\(what()): \(time), more than \(limit)") }
        return time
    }
}

/// The middle one, or the later of the two in the middle.
func median(_ times: [Span]) -> Span { times.isEmpty ? .zero : times.sorted()[times.count / 2] }
