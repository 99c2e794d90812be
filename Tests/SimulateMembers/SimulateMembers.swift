// Tells the stories that a failure detector must survive, and measures it in large clusters. Ends with 1 when a story fails.
//
//   simulate-members                     every story once, with its figures
//   simulate-members --only LABEL        stories whose label begins so
//   simulate-members --seed N            with another seed; 1 by default
//   simulate-members --digest LABEL      only the digest of one story's trace, which is the same in every process
//   simulate-members --mutants [NAME]    turns off each rule whose name holds NAME, and tells which story fails without it
//   simulate-members --scale N           a cluster of N members: joining, detection, false alarms, traffic, healing
//   simulate-members --idle SECONDS      how long that cluster is watched for false alarms
//   simulate-members --split SECONDS     of that cluster, only what follows a split of so long
//   simulate-members --halve             of that cluster, only what follows when half of it is gone at once

import Foundation
import Membership
import MembershipSimulation
import Model
import SimulationKit

@main
enum SimulateMembers {
    static func main() {
        var arguments = CommandLine.arguments.dropFirst()
        var seed: UInt64 = 1
        var only = ""
        var count: Int?
        var idle: Int64?
        var split: Int64?
        var halves = false
        while let option = arguments.popFirst() {
            switch option {
            case "--seed": seed = arguments.popFirst().flatMap { UInt64($0) } ?? 1
            case "--only": only = arguments.popFirst() ?? ""
            case "--scale": count = arguments.popFirst().flatMap { Int($0) } ?? 1_000
            case "--idle": idle = arguments.popFirst().flatMap { Int64($0) }
            case "--split": split = arguments.popFirst().flatMap { Int64($0) } ?? 30
            case "--halve": halves = true
            case "--mutants":
                let name = arguments.first?.hasPrefix("--") == false ? arguments.popFirst() : nil
                exit(Mutants(seed: seed).hunt(name ?? "") ? 0 : 1)
            case "--digest": return digest(of: arguments.popFirst() ?? "", seed)
            default:
                say("simulate-members: \(option) is no option; see the head of Tests/SimulateMembers/SimulateMembers.swift")
                exit(2)
            }
        }
        if let count { return scale(count, seed, idle: idle, split: split, halves: halves) }
        exit(stories(only, seed) ? 0 : 1)
    }

    private static func stories(_ only: String, _ seed: UInt64) -> Bool {
        var failed = 0
        for scenario in Scenario.all where scenario.label.hasPrefix(only) {
            let start = ContinuousClock.now
            do throws(Violation) {
                let trial = try scenario.run(seed: seed)
                say("✔ \(scenario) [\(start.duration(to: .now))]")
                for (name, value) in trial.figures { say("    \(name): \(value)") }
            } catch {
                failed += 1
                say("✘ \(scenario)\n    \(error) [\(start.duration(to: .now))]")
            }
        }
        return failed == 0
    }

    /// Above some thousands, all share one table, of which each keeps its differences: for each to lose half of the others, or to meet
    /// all of them anew, would leave nothing to share, so there it is as many as memory takes. Of a cut, that is very few: whoever was
    /// held dead anywhere refutes, and everybody learns of it, so that a hundred who came to hold all others dead would cost as much as
    /// a new start of the whole cluster.
    private static func scale(_ count: Int, _ seed: UInt64, idle: Int64?, split: Int64?, halves: Bool) {
        let isShared = count > 3_000
        say("\(count) members, \(isShared ? "one shared table and each one's differences" : "each with its own table")")
        let start = ContinuousClock.now
        var cluster = LargeCluster(count, isShared: isShared, seed: seed) { name, value in say("  \(name): \(value)") }
        if isShared { cluster.restart(count / 100) } else { cluster.join() }
        if split != nil || halves {
            cluster.idle(for: .seconds(1), loss: 10)
            if let split { cluster.split(isShared ? count / 1_000 : nil, for: .seconds(split)) }
            if halves { cluster.halve(refusing: false) }
        } else {
            measure(&cluster, count, idle: idle, isShared: isShared)
        }
        say("  largest memory: \(largestMemory) MB; \(cluster.world.events) events in \(start.duration(to: .now))")
    }

    private static func measure(_ cluster: inout LargeCluster, _ count: Int, idle: Int64?, isShared: Bool) {
        let before = clock()
        let idle = idle ?? (isShared ? 30 : 600)
        cluster.idle(for: .seconds(idle), loss: 10)
        let percent = Double(clock() - before) / Double(CLOCKS_PER_SEC) / Double(idle) / Double(count) * 100
        say("  of a core per member, network and all: \((percent * 10_000).rounded() / 10_000) %")
        cluster.kill(5, refusing: false)
        cluster.kill(5, refusing: true)
        cluster.split(isShared ? count / 1_000 : nil, for: .seconds(30))
    }

    private static var largestMemory: Int {
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        return usage.ru_maxrss / 1_024
    }

    private static func digest(of label: String, _ seed: UInt64) {
        guard let scenario = Scenario.named(label), let trial = try? scenario.run(seed: seed) else { exit(1) }
        say("\(trial.digest)")
    }
}

/// Figures are read while they come, whoever reads them.
func say(_ line: String) { try? FileHandle.standardOutput.write(contentsOf: Data((line + "\n").utf8)) }
