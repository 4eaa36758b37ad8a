//! Each warning about the environment appears under its condition only, with numbers and a hint.

use bench_model::thread_usage::Switches;
use bench_model::{Pinning, WaitMode, Workload};
use report::result::Warning;
use report::result::environment::{Environment, OtherBenchmark};
use report::summary;

use crate::synthetic::Synthetic;

/// A machine without any reason for a warning.
pub(crate) fn good() -> Environment {
    let mut environment = Environment {
        accel: "kvm".into(),
        cores: 4,
        guest_cpus: Some(2),
        clocksource: Some("tsc".into()),
        pinning: Some("host=0,vcpu0=1".into()),
        ..Environment::default()
    };
    environment.host.virtualized = Some(false);
    environment.host.governor = Some("performance".into());
    environment.host.host_clocksource = Some("tsc".into());
    environment.host.hardware_threads = Some(4);
    environment.host.smt_siblings = vec![vec![0, 2], vec![1, 3]];
    environment.load.load_average = Some(1.2);
    environment.load.steal_percent = Some(0.9);
    environment
}

fn warnings(spoil: impl FnOnce(&mut Environment)) -> Vec<Warning> {
    let mut environment = good();
    spoil(&mut environment);
    Synthetic::both_modes().result_on(environment).warnings
}

/// Changes the environment and expects one warning, with this message and this hint.
#[track_caller]
fn warns(words: &str, hint: &str, spoil: impl FnOnce(&mut Environment)) {
    let all = warnings(spoil);
    let [warning] = &all[..] else { panic!("one warning, not {all:?}") };
    assert!(warning.message.contains(words) && warning.hint.contains(hint), "{warning:?}");
}

/// The warnings of a run whose blocks request this pinning.
fn pinned(pinning: &Pinning) -> Vec<Warning> {
    let mut run = Synthetic::both_modes();
    for block in &mut run.measured.blocks {
        block.placement.as_mut().expect("affinity was observed").wanted = pinning.clone();
    }
    run.result_on(good()).warnings
}

#[test]
fn good_machine_has_no_warnings() {
    assert_eq!(warnings(|_| {}), []);
}

#[test]
fn unknown_machine_has_no_warnings() {
    assert_eq!(Synthetic::both_modes().result_on(Environment::default()).warnings, []);
}

#[test]
fn warns_of_power_saving_governor() {
    warns("governor is powersave", "frequency-set -g performance", |e| e.host.governor = Some("powersave".into()));
    warns("performance, powersave", "performance", |e| e.host.governor = Some("performance, powersave".into()));
}

#[test]
fn warns_of_fewer_cpus_than_polling_threads() {
    let few = |cores, guest_cpus| {
        move |e: &mut Environment| {
            (e.cores, e.guest_cpus, e.load.load_average) = (cores, Some(guest_cpus), None);
        }
    };
    warns("3 polling threads (the initiator and 2 vCPUs) share 2 CPUs", "--smp 1", few(2, 2));
    warns("2 polling threads (the initiator and 1 vCPU) share 1 CPU", "at least two CPUs", few(1, 1));
    assert_eq!(warnings(few(2, 1)), []);
}

#[test]
fn warns_of_high_load_average() {
    warns("load average was 2.40", "run again", |e| e.load.load_average = Some(2.4));
    let part_of_a_large_machine = |e: &mut Environment| {
        (e.load.load_average, e.host.hardware_threads) = (Some(2.4), Some(64));
    };
    assert_eq!(warnings(part_of_a_large_machine), []);
}

#[test]
fn busy_cpus_take_precedence_over_the_load_average() {
    warns("other processes used 2.00 of 4 CPUs", "stop other load", |e| e.load.busy_cpus = Some(2.0));
    assert_eq!(warnings(|e| (e.load.busy_cpus, e.load.load_average) = (Some(0.1), Some(9.0))), []);
}

#[test]
fn warns_of_low_scheduling_priority() {
    let scheduled = |policy: &'static str, nice| {
        move |e: &mut Environment| {
            (e.host.scheduling_policy, e.host.nice) = (Some(policy.to_owned()), Some(nice));
        }
    };
    warns("policy other, nice 5", "without nice", scheduled("other", 5));
    warns("policy idle, nice 0", "chrt --other 0", scheduled("idle", 0));
    for (policy, nice) in [("other", 0), ("other", -5), ("fifo 50", 0)] {
        assert_eq!(warnings(scheduled(policy, nice)), []);
    }
}

#[test]
fn warns_of_a_small_cpu_quota() {
    warns("quota is 1.50 CPUs and 3 threads poll", "CPUQuota=", |e| e.host.cpu_quota = Some(1.5));
    assert_eq!(warnings(|e| e.host.cpu_quota = Some(3.0)), []);
}

#[test]
fn warns_of_late_doorbells_only_without_contention() {
    let late = |busy_threads, shared_core| {
        let mut run = Synthetic::both_modes();
        run.block(1).counters.guest_deadline_wakeups = 2;
        let conditions = &mut run.block(1).block.conditions;
        (conditions.busy_threads, conditions.shared_core) = (busy_threads, shared_core);
        let warnings = run.result().warnings;
        warnings.into_iter().any(|warning| warning.message.starts_with("2 waits timed out before the doorbell arrived"))
    };
    assert!(late(None, false) && late(Some(0), false));
    assert!(!late(Some(1), false) && !late(Some(0), true));
}

#[test]
fn warns_of_steal_time() {
    warns("withheld 3.2 % of this machine's CPU time", "dedicated CPUs", |e| e.load.steal_percent = Some(3.21));
}

#[test]
fn warns_of_emulation_with_its_reason() {
    warns("TCG; no guest under KVM: no /dev/kvm", "cargo xtask doctor", |e| {
        (e.accel, e.accel_reason) = ("tcg".into(), "tcg: no guest under KVM: no /dev/kvm".into());
    });
    warns("TCG; asked for", "without --accel tcg", |e| {
        (e.accel, e.accel_reason) = ("tcg".into(), "tcg: asked for".into());
    });
}

#[test]
fn warns_of_unpinned_threads() {
    warns("no thread was pinned", "--pin auto", |e| e.pinning = Some("none".into()));
}

#[test]
fn warns_of_clock_sources_other_than_tsc() {
    warns("host's clock source is hpet", "tsc=reliable", |e| e.host.host_clocksource = Some("hpet".into()));
    warns("guest's clock source is hpet", "--append clocksource=tsc", |e| {
        e.clocksource = Some("hpet".into());
    });
    assert_eq!(warnings(|e| e.clocksource = Some("tsc-early".into())), []);
}

#[test]
fn warns_of_nested_virtualization() {
    warns("KVM is nested", "bare metal", |e| e.host.virtualized = Some(true));
}

#[test]
fn warns_of_threads_pinned_to_one_core() {
    let on = |host, vcpu| pinned(&Pinning { host: Some(host), vcpus: vec![None, Some(vcpu)], main_loop: None });
    let words =
        |all: &[Warning]| all.iter().map(|w| format!("{}; {}", w.message, w.hint)).collect::<Vec<_>>().join("\n");
    assert!(words(&on(0, 2)).contains("(CPU 0) and vcpu1 (CPU 2) are hyperthreads of one core"), "{:?}", on(0, 2));
    assert!(words(&on(0, 2)).contains("lscpu -e"));
    assert!(words(&on(3, 3)).contains("both pinned to CPU 3"), "{:?}", on(3, 3));
    assert_eq!(on(0, 1), []);
}

#[test]
fn hints_are_never_truncated_on_the_terminal() {
    let mut environment = good();
    (environment.accel, environment.accel_reason) = (
        "tcg".into(),
        "tcg: no guest under KVM: QEMU was ended by signal 6: qemu-system-x86_64: error: failed to set MSR 0x10a"
            .into(),
    );
    environment.host.governor = Some("powersave".into());
    environment.host.host_clocksource = Some("hpet".into());
    environment.pinning = Some("none".into());
    (environment.cores, environment.load.load_average) = (2, Some(9.0));
    environment.load.steal_percent = Some(12.0);
    let text = summary(&Synthetic::both_modes().result_on(environment));
    assert!(text.lines().count() <= 40 && text.lines().all(|line| line.chars().count() <= 100), "{text}");
    assert!(!text.contains('…'), "{text}");
    assert!(text.contains("cargo xtask doctor"), "{text}");
}

#[test]
fn warns_of_a_miscalibrated_spin_budget() {
    let all = |hybrid_spin_ns| {
        let environment = Environment { hybrid_spin_ns: Some(hybrid_spin_ns), ..good() };
        // Blocking takes about 60 µs.
        Synthetic::both_modes().result_on(environment).warnings
    };
    assert_eq!(all(590_000), []);
    let disturbed = all(2_000_000);
    let [warning] = &disturbed[..] else { panic!("one warning, not {disturbed:?}") };
    assert!(warning.message.contains("spin for 2.00 ms") && warning.hint.contains("--spin 61us"), "{warning:?}");
}

#[test]
fn warns_of_preempted_benchmark_threads() {
    let preempted = |times, workload| {
        let mut run = Synthetic::empty().with(workload, WaitMode::Poll, WaitMode::Poll, 64, 1_000);
        run.block(0).cpu.switches.vcpus = Some(Switches { voluntary: 0, involuntary: times });
        run.result_on(good()).warnings
    };
    assert_eq!(preempted(10, Workload::Pingpong), []);
    assert_eq!(preempted(500, Workload::Contention), []);
    let many = preempted(11, Workload::Pingpong);
    let [warning] = &many[..] else { panic!("one warning, not {many:?}") };
    assert!(warning.message.contains("were preempted 11 times in 1,000 operations"), "{warning:?}");
    assert!(warning.hint.contains("CPUs of its own"), "{warning:?}");
}

#[test]
fn preemption_warning_states_instrumented_operations() {
    let mut run = Synthetic::empty();
    for count in [2_000, 500] {
        run = run.with(Workload::Pingpong, WaitMode::Poll, WaitMode::Poll, 64, count);
    }
    run.block(0).cpu.switches.vcpus = Some(Switches { voluntary: 0, involuntary: 60 });
    run.block(1).block.conditions.full_stamps = true;
    let warnings = run.result_on(good()).warnings;
    let [warning] = &warnings[..] else { panic!("one warning, not {warnings:?}") };
    let words = "preempted 60 times in 2,500 operations of pingpong and paced (500 of these operations timed per leg)";
    assert!(warning.message.ends_with(words), "{warning:?}");
}

#[test]
fn healthy_kvm_guest_may_have_kvm_clock() {
    assert_eq!(warnings(|e| e.clocksource = Some("kvm-clock".into())), []);
}

#[test]
fn warns_of_kvm_clock_if_most_clock_offsets_moved() {
    let warned = |moved: usize| {
        let mut run = Synthetic::both_modes();
        for block in run.measured.blocks.iter_mut().take(moved) {
            block.clock.after_ns += 1e6;
        }
        let environment = Environment { clocksource: Some("kvm-clock".into()), ..good() };
        let warnings = run.result_on(environment).warnings;
        warnings.into_iter().find(|warning| warning.message.contains("kvm-clock")).map(|warning| warning.message)
    };
    let blocks = Synthetic::both_modes().measured.blocks.len();
    assert_eq!(warned(blocks / 2), None, "a disturbed machine moves some");
    assert!(warned(blocks).unwrap().contains(&format!("in {blocks} of {blocks} blocks")));
}

#[test]
fn another_benchmark_is_named_with_its_cpus() {
    let other = |pid, cpus: &str| OtherBenchmark { pid, cpus: cpus.into() };
    warns("another benchmark (pid 7 on CPUs 0-1) ran during this run", "one benchmark at a time", |e| {
        e.load.other_benchmarks = vec![other(7, "0-1")];
    });
    warns("2 other benchmarks (pid 7 on CPU 3, pid 8 on unknown CPUs)", "one benchmark at a time", |e| {
        e.load.other_benchmarks = vec![other(7, "3"), other(8, "")];
    });
}
