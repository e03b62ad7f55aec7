//! Names the product that serves the Docker API. Each is Docker's engine, but its machine differs: a virtual machine has its
//! own limits, disk and network.

/// Returns the product by what the engine says about itself: its system, the name of its machine, and whether it runs
/// without root.
pub(super) fn product(os: &str, machine: &str, rootless: bool) -> &'static str {
    match (os, machine) {
        (os, _) if os.contains("Docker Desktop") => "Docker Desktop",
        (os, _) if os.contains("OrbStack") => "OrbStack",
        // Colima names its virtual machine `colima`, or `colima-` and the profile.
        (_, machine) if machine == "colima" || machine.starts_with("colima-") => "Colima",
        (os, _) if os.contains("Rancher Desktop") => "Rancher Desktop",
        _ if rootless => "Docker (rootless)",
        _ => "Docker",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_has_the_name_of_its_product() {
        for (os, machine, rootless, name) in [
            ("Debian GNU/Linux 12 (bookworm)", "h", false, "Docker"),
            ("Debian GNU/Linux 12 (bookworm)", "h", true, "Docker (rootless)"),
            ("Docker Desktop", "docker-desktop", false, "Docker Desktop"),
            ("OrbStack", "orbstack", false, "OrbStack"),
            ("Ubuntu 24.04.1 LTS", "colima", false, "Colima"),
            ("Ubuntu 24.04.1 LTS", "colima-k8s", false, "Colima"),
            ("Ubuntu 24.04.1 LTS", "colimaster", false, "Docker"),
        ] {
            assert_eq!(product(os, machine, rootless), name);
        }
    }
}
