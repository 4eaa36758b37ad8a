//! Each guest driver: a measurement, and its error messages.

use crate::support::bench;
use crate::support::guest::ShellGuest;
use crate::support::terminal::Terminal;

/// Several vectors and vCPUs. Other tests have one of each.
const MACHINE: &str = "--vectors 4 --smp 2";

/// Measures with a driver. Every doorbell must cause one interrupt and one event.
#[track_caller]
fn measure(driver: &str, modes: &[&str]) {
    let ended = bench(&format!("--workload pingpong --driver {driver} --mode {} {MACHINE}", modes.join(","))).end();
    ended.assert_status(0);
    assert_eq!(ended.failed_checks(), [0; 0], "{driver}");
    let result = ended.result();
    assert_eq!(result["environment"]["driver"], driver);
    assert_eq!(result["environment"]["driver_reason"], "asked for");
    assert_eq!(result["environment"]["guest_cpus"], 2);

    let cells = result["cells"].as_array().unwrap().iter();
    let cells: Vec<&serde_json::Value> = cells.filter(|cell| cell["conditions"]["stamped"] != true).collect();
    let measured: Vec<&str> = cells.iter().map(|cell| cell["mode"].as_str().unwrap()).collect();
    assert_eq!(measured, modes, "{driver}");
    for cell in cells {
        assert_eq!(cell["n"], 10_000, "{driver}: {cell}");
        let counters = &cell["counters"];
        if cell["mode"] == "irq" {
            assert!(counters["rings"].as_u64().unwrap() > 10_000, "{driver}: {counters}");
            assert_eq!(counters["rings"], counters["interrupts"], "{driver}");
            assert_eq!(counters["rings"], counters["uio_events"], "{driver}");
            // At most one message in a hundred may arrive before its doorbell.
            assert!(counters["guest_waits"].as_u64().unwrap() >= 11_880, "{driver}: {counters}");
        }
    }
}

#[test]
#[ignore = "starts a guest"]
fn uio_pci_msix_supports_every_mode() {
    measure("uio_pci_msix", &["poll", "irq", "hybrid"]);
}

#[test]
#[ignore = "starts a guest"]
fn igb_uio_supports_every_mode() {
    measure("igb_uio", &["poll", "irq", "hybrid"]);
}

#[test]
#[ignore = "starts a guest"]
fn vfio_pci_supports_every_mode_behind_an_iommu() {
    measure("vfio-pci", &["poll", "irq", "hybrid"]);
}

#[test]
#[ignore = "starts a guest"]
fn uio_pci_generic_supports_polling() {
    measure("uio_pci_generic", &["poll"]);
}

#[test]
#[ignore = "starts a guest"]
fn vfio_without_iommu_has_a_hint_and_keeps_the_driver() {
    let mut terminal = Terminal::open("vm --accel tcg");
    terminal.expect("guest is up");
    terminal.type_line("guest-uio bind --driver vfio-pci; echo status $((40+2)) $?");
    let message = terminal.expect("is not behind one");
    assert!(message.contains("-device intel-iommu,intremap=on"), "{message}");
    assert!(message.contains("intel_iommu=on iommu=pt"), "{message}");
    terminal.expect("status 42 3");
    terminal.type_line("guest-uio probe");
    terminal.expect("memory, doorbell and interrupts can be used");
    assert_eq!(terminal.end(), Some(0));
}

#[test]
#[ignore = "starts a guest"]
fn device_can_change_its_driver() {
    let mut terminal = Terminal::open("vm --accel tcg --driver vfio-pci --vectors 2");
    terminal.expect("guest is up");
    for (turn, driver) in ["vfio-pci", "uio_pci_msix", "uio_pci_generic", "vfio-pci"].into_iter().enumerate() {
        terminal.type_line(&format!("guest-uio bind --driver {driver}; echo bound $(({turn}+100)) $?"));
        terminal.expect(&format!("bound {} 0", turn + 100));
        terminal.type_line("guest-uio probe");
        let has_no_interrupts = driver == "uio_pci_generic";
        terminal.expect(if has_no_interrupts {
            "cannot deliver this device's interrupts"
        } else {
            "interrupts can be used"
        });
    }
    terminal.type_line("guest-uio check --vectors 2 --count 1000; echo checked $((40+2)) $?");
    terminal.expect("checked 42 0");
    assert_eq!(terminal.end(), Some(0));
}

#[test]
#[ignore = "starts a guest"]
fn vfio_device_has_one_user_at_a_time() {
    let mut terminal = Terminal::open("vm --accel tcg --driver vfio-pci");
    terminal.expect("guest is up");
    terminal.type_line("guest-uio wait --timeout 60s & sleep 1; guest-uio probe; kill %1; echo tried $((40+2))");
    terminal.expect("another process uses IOMMU group");
    terminal.expect("tried 42");
    terminal.type_line("guest-uio probe");
    terminal.expect("interrupts can be used");
    assert_eq!(terminal.end(), Some(0));
}

#[test]
#[ignore = "starts a guest"]
fn igb_uio_supports_vector_0_only() {
    let mut terminal = Terminal::open("vm --accel tcg --driver igb_uio --vectors 2");
    terminal.expect("guest is up");
    terminal.type_line("guest-uio check --vectors 1 --count 1000; echo checked $((40+2)) $?");
    terminal.expect("checked 42 0");
    terminal.type_line("guest-uio wait --vector 1 --timeout 1s; echo status $((40+2)) $?");
    terminal.expect("igb_uio supports vector 0 only");
    terminal.expect("status 42 3");
    assert_eq!(terminal.end(), Some(0));
}

#[test]
#[ignore = "starts a guest"]
fn processes_can_share_a_vector() {
    let mut guest = ShellGuest::start("--driver uio_pci_msix", "");
    guest.ok("guest-uio wait --timeout 60s & first=$!; guest-uio wait --timeout 60s & second=$!");
    guest.ok("for p in $first $second; do until grep -q uio_read /proc/$p/wchan; do sleep 0.1; done; done");
    guest.ok("guest-uio ring 0 0");
    guest.ok("wait $first && wait $second");
}
