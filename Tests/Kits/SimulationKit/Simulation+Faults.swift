// How a plan's faults are carried out, and how calm returns.

package import Model

extension Simulation {
    mutating func begin(_ timed: TimedFault, _ index: Int) throws(Violation) {
        trace.note(now, 7, UInt64(index), 0, "fault: \(timed.fault) for \(timed.lasting)")
        let until = now + timed.lasting
        queue.push(.faultEnds(index), at: until)
        switch timed.fault {
        case .cut(let from, let to): network.cut(from: from, to: to)
        case .split(let side):
            for (from, to) in links(across: side) { network.cut(from: from, to: to) }
        case .clog(let from, let to): network.clog(from: from, to: to, until: until)
        case .weather(let weather): network.weather = weather
        case .kill(let host, let steps): die(host, losesPower: false, afterSteps: steps, timed.lasting)
        case .powerLoss(let host, let steps): die(host, losesPower: true, afterSteps: steps, timed.lasting)
        case .pause(let host): hosts[host].pausedUntil = until
        case .suspend(let host):
            hosts[host].pausedUntil = until
            hosts[host].diskFreeAt = until
        case .drift(let host, let millionths): hosts[host].clock.setDrift(millionths, at: now)
        case .leap(let host, let span):
            hosts[host].clock.leap(span)
            setWake(host)
        case .slowDisk(let host, let factor): hosts[host].diskFactor = factor
        case .stallDisk(let host): hosts[host].diskFreeAt = until
        case .failDisk(let host, let steps): hosts[host].failsAfter = steps
        case .fullDisk(let host): hosts[host].disk.isFull = true
        case .flipBit(let host, let seed): rot(host, seed)
        case .misdirect(let host, let seed):
            // The process that runs now, and no later one, which may have another store.
            if hosts[host].isUp, system.maySacrifice(host) { hosts[host].disk.misdirects = seed }
        case .wipe(let host):
            guard system.maySacrifice(host) else { return }
            trace.note(now, 8, UInt64(host), 0, "\(Self.name(host)) is wiped")
            end(host, losesPower: true, restartAfter: timed.lasting)
            hosts[host].disk.wipe()
        case .act(let kind, let seed):
            var outside = OutsideEffects<System.Process.Message, System.Event>()
            try system.perform(act: kind, seed: seed, now: now, &outside)
            for (after, event) in outside.events { queue.push(.system(event), at: now + after) }
            for (from, to, message) in outside.messages { queue.push(.deliver(message, from: from, to: to), at: now) }
        }
    }

    mutating func end(_ timed: TimedFault) {
        switch timed.fault {
        case .cut(let from, let to): network.mend(from: from, to: to)
        case .split(let side):
            for (from, to) in links(across: side) { network.mend(from: from, to: to) }
        case .weather: network.weather = plan.base
        case .drift(let host, _): hosts[host].clock.setDrift(0, at: now)
        case .slowDisk(let host, _): hosts[host].diskFactor = 1
        case .fullDisk(let host): hosts[host].disk.isFull = false
        case .clog, .kill, .powerLoss, .pause, .suspend, .leap, .stallDisk, .failDisk, .flipBit, .misdirect, .wipe, .act: break
        }
    }

    /// Every link from one side to the other, both ways.
    private func links(across side: UInt64) -> [(Int, Int)] {
        hosts.indices.flatMap { from in
            hosts.indices.compactMap { to in (side >> UInt64(from)) & 1 != (side >> UInt64(to)) & 1 ? (from, to) : nil }
        }
    }

    private mutating func die(_ host: Int, losesPower: Bool, afterSteps: Int, _ lasting: Span) {
        if afterSteps == 0 {
            end(host, losesPower: losesPower, restartAfter: lasting)
        } else if hosts[host].isUp {
            hosts[host].dies = Death(losesPower: losesPower, afterSteps: afterSteps, lasting: lasting)
        }
    }

    private mutating func rot(_ host: Int, _ seed: UInt64) {
        guard system.maySacrifice(host) else { return }
        var random = SeededGenerator(seed: seed)
        guard let place = hosts[host].disk.flipBit(&random) else { return }
        trace.note(
            now, 9, UInt64(host), UInt64(place.offset),
            "\(Self.name(host)) has a bit flipped in \(place.file) at \(place.offset)")
    }

    /// Ends a host's process now, or its whole machine, and starts it again in a while.
    package mutating func kill(_ host: Int, losesPower: Bool, restartAfter: Span) {
        end(host, losesPower: losesPower, restartAfter: restartAfter)
    }

    /// The two do not hear each other, until calm returns.
    package mutating func part(_ one: Int, _ other: Int) {
        network.cut(from: one, to: other)
        network.cut(from: other, to: one)
    }

    /// Starts a host that is down, without waiting any longer.
    package mutating func revive(_ host: Int) throws(Violation) {
        if !hosts[host].isUp { try start(host) }
    }

    /// Ends a host's machine, which never comes back.
    package mutating func loseForGood(_ host: Int) {
        abandoned.insert(host)
        trace.note(now, 11, UInt64(host), 0, "\(Self.name(host)) is gone for good")
        end(host, losesPower: true, restartAfter: .zero)
    }

    /// The liveness phase: `core` is made whole and stays so; of the others each is left dead, cut off, deaf, mute or with a disk that
    /// stands still, for ever.
    /// What then still does not work, no repair would mend.
    package mutating func calm(core: [Int]) throws(Violation) {
        isCalm = true
        network.mendAll(weather: Weather(delay: 50...1_000))
        trace.note(now, 10, UInt64(core.count), 0, "calm: core \(core)")
        for host in hosts.indices {
            hosts[host].dies = nil
            hosts[host].failsAfter = nil
            hosts[host].disk.isFull = false
            hosts[host].disk.misdirects = nil
            hosts[host].diskFactor = 1
            hosts[host].clock.setDrift(0, at: now)
            goOn(host)
        }
        for host in hosts.indices where !core.contains(host) { abandon(host) }
        for host in core where !hosts[host].isUp { try start(host) }
    }

    private mutating func abandon(_ host: Int) {
        abandoned.insert(host)
        let luck = random.next()
        if luck % 5 == 0 {
            hosts[host].diskFreeAt = LogicalInstant(microseconds: .max)
            return
        }
        let isDeaf = (luck >> 8) % 2 == 0
        let isMute = (luck >> 9) % 2 == 0
        if !isDeaf && !isMute { end(host, losesPower: true, restartAfter: .zero) }
        for other in hosts.indices where other != host {
            if isDeaf { network.cut(from: other, to: host) }
            if isMute { network.cut(from: host, to: other) }
        }
    }
}
