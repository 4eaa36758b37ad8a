//! The files and contents of a run's results.

use crate::support::{bench, measured_once, socket_in};

#[test]
#[ignore = "starts a guest"]
fn both_modes_are_measured_in_one_boot() {
    let ended = bench("--json --workload pingpong,frame").end();
    ended.assert_status(0);
    assert_eq!(ended.failed_checks(), [0; 0]);
    let result = ended.result();
    assert_eq!(ended.stdout, ended.text("result.json"), "--json prints the document");

    let cells = result["cells"].as_array().unwrap();
    let named: Vec<String> = cells
        .iter()
        .filter(|c| c["conditions"] == serde_json::json!({}))
        .map(|c| format!("{} {} {} n={}", c["workload"], c["mode"], c["size_bytes"], c["n"]).replace('"', ""))
        .collect();
    for mode in ["poll", "irq"] {
        assert!(named.contains(&format!("pingpong {mode} 64 n=10000")), "{named:?}");
        for bytes in [1920 * 1080 * 3, 2560 * 1440 * 3, 3840 * 2160 * 3] {
            assert!(named.contains(&format!("frame {mode} {bytes} n=10")), "{named:?}");
        }
    }
    for cell in cells {
        assert_eq!(cell["failures"], serde_json::json!({}), "{cell}");
        let counters = &cell["counters"];
        if cell["mode"] == "irq" {
            assert!(counters["rings"].as_u64().unwrap() > 0);
            assert_eq!(counters["rings"], counters["interrupts"]);
            assert_eq!(counters["rings"], counters["uio_events"]);
        } else {
            assert_eq!(counters["interrupts"], 0);
            assert_eq!(counters["guest_waits"], 0);
        }
    }

    // One row per measured operation in each table.
    let rows = |name| ended.text(name).lines().count() - 1;
    assert_eq!(rows("samples.csv"), 2 * (10_000 + 30 + 12) + 2_500, "including the stamped blocks of polling");
    assert_eq!(rows("latency_results.csv"), 2 * 10_000);
    assert_eq!(rows("bandwidth_results.csv"), 2 * (30 + 12));
    for log in ["console.log", "qemu.log", "server.log", "commands.sh", "measured.json", "plan.json"] {
        assert!(ended.path(log).exists(), "{log}");
    }
    assert!(!socket_in(&ended.text("commands.sh")).exists(), "the socket is removed");
    assert_eq!(result["environment"]["accel"], "tcg");
}

#[test]
#[ignore = "starts a guest"]
fn poll_only_run_uses_the_stock_driver() {
    let ended = bench("--mode poll --workload pingpong").end();
    ended.assert_status(0);
    assert_eq!(ended.result()["environment"]["driver"], "uio_pci_generic");
    for column in ["min", "p50", "p90", "p99", "max", "mean", "pingpong"] {
        assert!(ended.stdout.contains(column), "{}", ended.stdout);
    }
}

#[test]
#[ignore = "starts a guest"]
fn concurrent_runs_have_separate_sockets() {
    let words = "--workload pingpong --mode irq";
    let (first, second) = (bench(words), bench(words));
    let (first, second) = (first.end(), second.end());
    first.assert_status(0);
    second.assert_status(0);
    assert_ne!(socket_in(&first.text("commands.sh")), socket_in(&second.text("commands.sh")));
}

/// The file through which a run with this `--bar2-map` mapped the memory.
pub(crate) fn bar2_map_of(kind: &str) -> String {
    let ended = bench(&format!("--workload baseline --mode irq --bar2-map {kind}")).end();
    ended.assert_status(0);
    let environment = &ended.result()["environment"];
    for measured in ["bar2_ns_per_load", "bar2_read_gb_per_s", "bar2_write_gb_per_s"] {
        assert!(environment[measured].as_f64().unwrap() > 0.0, "{measured}");
    }
    environment["bar2_map"].as_str().unwrap().to_owned()
}

#[test]
#[ignore = "starts a guest"]
fn injection_and_wake_up_add_up_to_notification() {
    let ended = measured_once("--workload pingpong");
    let text = ended.text("samples.csv");
    let mut rows = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let header = rows.next().unwrap();
    let column = |name: &str| header.iter().position(|field| *field == name).unwrap();
    let (inject, wake, notify) = (column("inject_ns"), column("wake_ns"), column("notify_ns"));
    let mut split = 0;
    for row in rows.filter(|row| !row[inject].is_empty()) {
        let part = |at: usize| row[at].parse::<i64>().unwrap();
        assert_eq!(part(inject) + part(wake), part(notify), "{row:?}");
        split += 1;
    }
    assert!(split > 9_900, "interrupt entry is known for {split} of 10,000 operations");
}

#[test]
#[ignore = "starts a guest"]
fn drivers_are_compared_in_one_table() {
    let ended = bench("--driver uio_pci_msix,uio_pci_generic --mode irq,hybrid --workload pingpong").end();
    ended.assert_status(0);
    assert_eq!(ended.stdout, ended.text("drivers.txt"));
    let rows: Vec<&str> =
        ended.stdout.lines().filter(|line| line.contains("pingpong") && !line.contains("warning: ")).collect();
    assert_eq!(rows.len(), 3, "two modes of one, polling of the other:\n{}", ended.stdout);
    for folder in ["uio_pci_msix", "uio_pci_generic"] {
        assert!(ended.path(folder).join("result.json").exists());
    }
}
