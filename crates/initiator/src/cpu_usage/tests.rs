use super::*;

fn missing(what: &'static str, why: &str) -> MissingCounter {
    MissingCounter { what, why: why.to_owned() }
}

/// The calling thread in place of QEMU's threads.
fn own_threads() -> QemuThreads {
    QemuThreads { pid: std::process::id(), vcpus: vec![nix::unistd::gettid().as_raw().cast_unsigned(); 2] }
}

#[test]
fn sums_only_between_start_and_stop() {
    let sleep = || std::thread::sleep(Duration::from_millis(1));
    let mut meter = Meter::new(Some(&own_threads()));
    for _ in 0..5 {
        sleep();
    }
    meter.start();
    sleep();
    meter.stop();
    meter.start();
    sleep();
    meter.stop();
    let (cpu, wall) = meter.drain();
    assert!(wall >= Duration::from_millis(2));
    let host = cpu.switches.host.unwrap();
    assert!(host.voluntary >= 2, "{host:?}");
    // The same thread counts as two vCPUs.
    assert!(cpu.switches.vcpus.unwrap().voluntary >= 4);
    assert_eq!(cpu.vcpus_ns.iter().sum::<u64>(), cpu.vcpu_ns.unwrap());
    assert_eq!(cpu.vcpus_ns.len(), 2);
    assert_eq!(meter.drain(), (CpuTime::default(), Duration::ZERO));
}

#[test]
fn dropped_interval_leaves_no_trace() {
    let mut meter = Meter::new(None);
    meter.start();
    meter.drain();
    meter.stop();
    assert_eq!(meter.drain().0, CpuTime::default());
}

#[test]
fn without_qemu_only_own_thread_is_known() {
    let mut meter = Meter::new(None);
    meter.start();
    meter.stop();
    let (cpu, _) = meter.drain();
    assert_eq!((cpu.vcpu_ns, cpu.main_loop_ns, cpu.switches.vcpus, cpu.switches.main_loop), (None, None, None, None));
    assert!(cpu.vcpus_ns.is_empty() && cpu.switches.host.is_some());
}

#[test]
fn ended_thread_makes_only_its_values_unknown() {
    let at = |ns| Some(CpuTimeSample { ns, at: Instant::now() });
    let before = Snapshot { vcpus: vec![at(1), at(1)], main_loop: at(1), ..Snapshot::default() };
    let after = Snapshot { vcpus: vec![at(9), None], main_loop: at(3), host_ns: 7, ..Snapshot::default() };
    let mut sum = CpuTime::default();
    add(&mut sum, &before, &after, Duration::from_secs(1));
    assert_eq!((sum.host_ns, sum.vcpu_ns, sum.main_loop_ns), (7, None, Some(2)));
    assert!(sum.vcpus_ns.is_empty());
}

#[test]
fn busy_thread_uses_at_most_the_interval() {
    let start = Instant::now();
    let at = |us| CpuTimeSample { ns: 1_000 * us, at: start + Duration::from_micros(us) };
    // Its clock was read 5 us before the interval and 15 us after it.
    assert_eq!(at(220).within(Duration::from_micros(200), &at(0)), 200_000);
    // A thread that slept half of the time.
    let half = CpuTimeSample { ns: 110_000, ..at(220) };
    assert_eq!(half.within(Duration::from_micros(200), &at(0)), 100_000);
    // A reading shorter than the interval is not scaled.
    assert_eq!(at(190).within(Duration::from_micros(200), &at(0)), 190_000);
}

#[test]
fn groups_missing_counters_by_reason() {
    let hidden = [missing("cycles", "not visible"), missing("instructions", "not visible")];
    assert_eq!(describe_missing(&hidden, &hidden).unwrap(), "cycles, instructions: not visible");
    assert_eq!(describe_missing(&hidden, &[]).unwrap(), "cycles, instructions: not visible");
    assert_eq!(describe_missing(&[], &[]), None);
}

#[test]
fn names_the_thread_of_missing_counters() {
    let (few, gone) = ([missing("dTLB misses", "too few counters")], [missing("cycles", "ended")]);
    assert_eq!(describe_missing(&few, &gone).unwrap(), "dTLB misses: too few counters; vCPU: cycles: ended");
    assert_eq!(describe_missing(&[], &gone).unwrap(), "vCPU: cycles: ended");
}
