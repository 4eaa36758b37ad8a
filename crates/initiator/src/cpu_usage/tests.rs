use super::*;

fn missing(what: &'static str, why: &str) -> MissingCounter {
    MissingCounter { what, why: why.to_owned() }
}

/// This process's own thread in QEMU's place.
fn own_threads() -> QemuThreads {
    QemuThreads { pid: std::process::id(), vcpus: vec![nix::unistd::gettid().as_raw().cast_unsigned(); 2] }
}

#[test]
fn only_what_lies_between_start_and_stop_is_added_up() {
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
    // Twice the same thread in the virtual CPUs' place.
    assert!(cpu.switches.vcpus.unwrap().voluntary >= 4);
    assert_eq!(cpu.vcpus_ns.iter().sum::<u64>(), cpu.vcpu_ns.unwrap());
    assert_eq!(cpu.vcpus_ns.len(), 2);
    assert_eq!(meter.drain(), (CpuTime::default(), Duration::ZERO));
}

#[test]
fn a_stretch_that_is_dropped_leaves_nothing() {
    let mut meter = Meter::new(None);
    meter.start();
    meter.drain();
    meter.stop();
    assert_eq!(meter.drain().0, CpuTime::default());
}

#[test]
fn without_qemu_only_the_own_thread_is_known() {
    let mut meter = Meter::new(None);
    meter.start();
    meter.stop();
    let (cpu, _) = meter.drain();
    assert_eq!((cpu.vcpu_ns, cpu.main_loop_ns, cpu.switches.vcpus, cpu.switches.main_loop), (None, None, None, None));
    assert!(cpu.vcpus_ns.is_empty() && cpu.switches.host.is_some());
}

#[test]
fn a_thread_that_ends_makes_its_own_figures_unknown_and_no_others() {
    let at = |ns| Some(CpuTimeSample { ns, at: Instant::now() });
    let before = Snapshot { vcpus: vec![at(1), at(1)], main_loop: at(1), ..Snapshot::default() };
    let after = Snapshot { vcpus: vec![at(9), None], main_loop: at(3), host_ns: 7, ..Snapshot::default() };
    let mut sum = CpuTime::default();
    add(&mut sum, &before, &after, Duration::from_secs(1));
    assert_eq!((sum.host_ns, sum.vcpu_ns, sum.main_loop_ns), (7, None, Some(2)));
    assert!(sum.vcpus_ns.is_empty());
}

#[test]
fn a_thread_that_runs_all_the_while_uses_the_stretch_and_no_more() {
    let start = Instant::now();
    let at = |us| CpuTimeSample { ns: 1_000 * us, at: start + Duration::from_micros(us) };
    // Its clock was read 5 us before the stretch began and 15 us after it ended.
    assert_eq!(at(220).within(Duration::from_micros(200), &at(0)), 200_000);
    // One that slept for half of it.
    let half = CpuTimeSample { ns: 110_000, ..at(220) };
    assert_eq!(half.within(Duration::from_micros(200), &at(0)), 100_000);
    // A clock that claims to have seen less than the stretch is left as it is.
    assert_eq!(at(190).within(Duration::from_micros(200), &at(0)), 190_000);
}

#[test]
fn what_is_missing_for_one_reason_is_told_once() {
    let hidden = [missing("cycles", "not visible"), missing("instructions", "not visible")];
    assert_eq!(describe_missing(&hidden, &hidden).unwrap(), "cycles, instructions: not visible");
    assert_eq!(describe_missing(&hidden, &[]).unwrap(), "cycles, instructions: not visible");
    assert_eq!(describe_missing(&[], &[]), None);
}

#[test]
fn what_is_missing_of_one_thread_alone_names_it() {
    let (few, gone) = ([missing("dTLB misses", "too few counters")], [missing("cycles", "ended")]);
    assert_eq!(describe_missing(&few, &gone).unwrap(), "dTLB misses: too few counters; of the vCPU, cycles: ended");
    assert_eq!(describe_missing(&[], &gone).unwrap(), "of the vCPU, cycles: ended");
}
