//! `--kernel` and `--modules`, checked before anything is built.

use crate::failure::usage;
use crate::provision::CustomKernel;

/// Refuses a kernel that is not a file, and a folder without modules. What is in them, provisioning examines.
pub(crate) fn check(custom: Option<&CustomKernel>) -> anyhow::Result<()> {
    let Some(CustomKernel { image, modules }) = custom else { return Ok(()) };
    if !image.is_file() {
        return Err(usage(format!(
            "--kernel {}: not a file; name a kernel such as /boot/vmlinuz-RELEASE",
            image.display()
        )));
    }
    if !["modules.dep", "modules.order", "kernel"].iter().any(|name| modules.join(name).exists()) {
        let modules = modules.display();
        return Err(usage(format!(
            "--modules {modules}: holds no kernel's modules; name a folder such as /lib/modules/RELEASE"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Failure;

    #[test]
    fn kernel_and_modules_that_are_none_are_wrong_usage() {
        let folder = tempfile::tempdir().unwrap();
        let kernel = folder.path().join("vmlinuz");
        std::fs::write(&kernel, "kernel").unwrap();
        let modules = folder.path().join("modules");
        std::fs::create_dir_all(modules.join("kernel")).unwrap();
        let refused = |image: &std::path::Path, modules: &std::path::Path| {
            let custom = CustomKernel { image: image.to_owned(), modules: modules.to_owned() };
            check(Some(&custom)).err().map(|error| {
                assert!(error.is::<Failure>(), "status 2: {error}");
                error.to_string()
            })
        };
        assert!(refused("/no/such".as_ref(), &modules).unwrap().contains("/boot/vmlinuz-RELEASE"));
        assert!(refused(&kernel, folder.path()).unwrap().contains("/lib/modules/RELEASE"));
        assert!(refused(&kernel, "/no/such".as_ref()).unwrap().contains("/lib/modules/RELEASE"));
        assert_eq!(refused(&kernel, &modules), None);
    }
}
