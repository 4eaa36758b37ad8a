//! `cargo xtask bench`: runs the server, the guest and the initiator as processes and renders their measurements.
//!
//! 1. [`options`] and [`pinning`] parse the flags, [`config`] turns them into a configuration per driver. [`flag_checks`] and
//!    [`faults`] refuse contradictions. [`plan`] and [`plan_blocks`] make the initiator's plan.
//! 2. [`output_dir`] creates the directory of the results; [`host_info`] and [`environment`](mod@environment) describe the host.
//! 3. [`session`] starts and watches the processes, [`progress`] shows their progress, [`concurrent_runs`] finds other
//!    benchmarks on the host. [`repro_script`] writes the commands that repeat the run by hand.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use bench_model::Fault;
use bench_protocol::boot::{self, RunMode};
use report::RunResult;
use report::result::environment::{Environment, HostLoad};

use crate::accelerator;
use crate::host_programs;
use crate::provision;
use crate::signals::StopFlag;
use crate::sys_files::SysRoot;
use crate::ui::display_path;
use crate::vm::qemu::Ivshmem;
use crate::vm::server::{ServerOptions, private_socket};
use bench_model::Accelerator;

mod concurrent_runs;
mod config;
mod environment;
mod faults;
mod flag_checks;
mod host_info;
mod options;
mod output_dir;
mod pinning;
mod plan;
mod plan_blocks;
mod progress;
mod repro_script;
mod session;

use host_info::cores;
pub(crate) use options::BenchArgs;

use concurrent_runs::ConcurrentRuns;
use config::BenchConfig;
use progress::ProgressUi;
use session::BenchSession;

/// Runs the benchmark. Returns whether every self-check passed.
pub(crate) fn run(args: &BenchArgs, stop: &StopFlag) -> anyhow::Result<bool> {
    let configs = flag_checks::checked_configs(args)?;
    args.guest.apply()?;
    for config in &configs {
        provision::check(args.guest.custom_kernel().as_ref(), Some(config.driver))?;
    }
    for warning in flag_checks::warnings(args, &configs) {
        crate::ui::status(&warning);
    }
    let folders: Vec<&str> = match &configs[..] {
        [_] => Vec::new(),
        several => several.iter().map(|config| config.driver.name()).collect(),
    };
    let out = output_dir::create(args.out.as_deref(), &configs[0].modes_name(), &folders)?;
    let mut other_runs = ConcurrentRuns::join(&cpus_of(&configs[0]));
    for other in other_runs.now() {
        crate::ui::status(&format!(
            "warning: another benchmark is running ({other}): both results are disturbed. Hint: wait until it ends"
        ));
    }
    let outcome = match &configs[..] {
        [config] => run_into(&out, args, config, &mut other_runs, stop).and_then(|result| {
            output_dir::point_latest(&out);
            // The report's path is the last line.
            crate::commands::report::print(&out, &result, args.json)?;
            Ok(result.passed())
        }),
        several => compare_drivers(&out, args, several, &mut other_runs, stop),
    };
    // A run that wrote no file leaves no directory.
    if fs::remove_dir(&out).is_err() {
        output_dir::point_latest(&out);
        match outcome {
            Err(_) => crate::ui::status(&format!("incomplete results: {}", display_path(&page_or_dir(&out)))),
            Ok(_) if configs.len() > 1 => crate::ui::status(&format!("results: {}", display_path(&out))),
            Ok(_) => {}
        }
    }
    outcome
}

/// Boots and measures once per driver, each into a subdirectory of `out`, and prints one table.
fn compare_drivers(
    out: &Path,
    args: &BenchArgs,
    configs: &[BenchConfig],
    other_runs: &mut ConcurrentRuns,
    stop: &StopFlag,
) -> anyhow::Result<bool> {
    let mut results = Vec::new();
    for config in configs {
        let folder = out.join(config.driver.name());
        fs::create_dir(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        results.push(run_into(&folder, args, config, other_runs, stop).with_context(|| config.driver.name())?);
    }
    let table = report::driver_table(&results);
    fs::write(out.join("drivers.txt"), &table).context("cannot write drivers.txt")?;
    if args.json {
        crate::ui::print_json(&results)?;
    } else {
        crate::ui::print(&table)?;
    }
    Ok(results.iter().all(RunResult::passed))
}

/// The page, or the directory if the page is missing.
fn page_or_dir(out: &Path) -> PathBuf {
    let page = out.join(report::io::file_names::HTML_FILE);
    if page.is_file() { page } else { out.to_owned() }
}

/// The CPUs that the run's threads are pinned to. Without pinning, all CPUs that it may use.
fn cpus_of(config: &BenchConfig) -> Vec<usize> {
    let pinned: Vec<usize> = config.pinning.threads().map(|(_, cpu)| cpu).collect();
    if pinned.is_empty() { cores() } else { pinned }
}

fn run_into(
    out: &Path,
    args: &BenchArgs,
    config: &BenchConfig,
    other_runs: &mut ConcurrentRuns,
    stop: &StopFlag,
) -> anyhow::Result<RunResult> {
    // Read before the build, which would raise the average.
    let load_average = environment::load_average();
    let mut steps = ProgressUi::new();
    let programs = host_programs::build(&|step| steps.status(step))?;
    let provision = provision::Options {
        kernel: args.guest.custom_kernel(),
        shell: false,
        driver: Some(config.driver),
        install: args.guest.install_policy(),
    };
    let guest = provision::prepare(&provision, &|step| steps.status(step))?;
    if !guest.has(config.driver) {
        return Err(crate::exit_status::missing_dependency(format!(
            "module {} is missing in kernel {}; use another --driver or --kernel",
            config.driver.module(),
            guest.kernel.release
        )));
    }
    stop.check()?;
    let choice = accelerator::select(&args.guest, &guest, stop, &|step| steps.status(step))?;
    steps.note(&choice.why);
    steps.note(&format!("driver {}: {}", config.driver.name(), config.driver_reason));

    let started = jiff::ZonedDateTime::now().strftime("%Y-%m-%dT%H:%M:%S%:z").to_string();
    let server = ServerOptions {
        program: programs.server,
        socket: private_socket(),
        memory_bytes: config.size_bytes,
        vectors: config.vectors,
    };
    let device = Ivshmem::Doorbell { socket: server.socket.clone(), vectors: config.vectors };
    let append = format!("{} {}", boot::parameter(boot::BAR2, config.bar2_map.name()), args.append);
    let mode = (RunMode::Respond, Some(config.driver));
    let qemu = args.guest.qemu(&guest, choice.accelerator, mode, &append, device);
    let busy_cpus = environment::busy_cpus(cores());
    let mut session = BenchSession::start(&server, &qemu, out)?;
    session.verify_accelerator(choice.accelerator)?;
    let claimed = if config.fault == Some(Fault::ClaimKvm) { Accelerator::Kvm } else { choice.accelerator };
    session.pin(&config.pinning)?;
    let plan = plan::build(config, server.socket.clone(), session.threads()?, args);
    let sysroot = SysRoot::real();
    let mut environment = Environment {
        accel: claimed.name().to_owned(),
        accel_reason: choice.why,
        irqfd: Some(claimed == Accelerator::Kvm),
        qemu_version: Some(session.vm.qmp.version()?),
        host_kernel: sysroot.text("proc/sys/kernel/osrelease"),
        cpu_model: sysroot.value("proc/cpuinfo", "model name"),
        cores: u32::try_from(cores().len()).unwrap_or(u32::MAX),
        driver_reason: Some(config.driver_reason.to_owned()),
        pinning: Some(config.pinning.to_string()),
        vectors: config.vectors.into(),
        memory_bytes: config.size_bytes,
        git_revision: environment::git_revision(),
        started: Some(started),
        command: Some(repro_script::invocation(std::env::args_os().skip(1))),
        host: environment::host(&sysroot),
        software: environment::software(&qemu),
        guest_kernel: Some(guest.kernel.release.clone()),
        load: HostLoad { load_average, busy_cpus, ..HostLoad::default() },
        ..Environment::default()
    };
    output_dir::write_atomically(&out.join("plan.json"), &serde_json::to_vec_pretty(&plan)?)?;
    let initiator = session::initiator(&programs.host_peer, out);
    repro_script::write(out, &server.command(), &qemu, &initiator, &config.pinning)?;
    if args.verbose {
        for command in [&server.command(), &qemu.command(), &initiator] {
            steps.note(&crate::process::child::command_line(command));
        }
    }
    steps.plan(&plan.blocks);
    let steal_meter = environment::CpuMeter::start(cores());
    let outcome = session.measure(initiator, out, &plan, &steps, stop);
    environment.accel_seen = session.seen.map(|seen| seen.name().to_owned());
    environment.load.steal_percent = steal_meter.steal_percent();
    environment.load.other_benchmarks = other_runs.since_last();
    drop(session);
    steps.finish();
    finish(out, environment, config, outcome)
}

/// Renders the measurements, also those of a failed run, and then returns the run's error.
fn finish(
    out: &Path,
    environment: Environment,
    config: &BenchConfig,
    outcome: anyhow::Result<()>,
) -> anyhow::Result<RunResult> {
    let hint = format!("Hint: free space there, then run cargo xtask report {}", display_path(out));
    let Err(error) = outcome else {
        let rendered = report::render(out, environment, config).map_err(anyhow::Error::from);
        return rendered.map_err(|error| anyhow::anyhow!("{error:#}. The measurements are complete. {hint}"));
    };
    let unwritten = match report::render_ended(out, environment, config, &format!("{error:#}")) {
        Ok(report::Ended { result, unwritten }) => {
            // Best effort: the run's own error is returned anyway.
            let _ = crate::ui::print_styled(&report::styled_summary(&result));
            unwritten
        }
        Err(unreadable) => Some(unreadable),
    };
    if let Some(unwritten) = unwritten {
        let unwritten = anyhow::Error::from(unwritten);
        crate::ui::status(&format!("warning: cannot write the report: {unwritten:#}. {hint}"));
    }
    Err(error)
}
