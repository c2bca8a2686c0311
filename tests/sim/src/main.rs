fn main() { 
    let mut args = std::env::args().skip(1);
    let from: u64 = args.next().unwrap().parse().unwrap();
    let n: u64 = args.next().unwrap().parse().unwrap();
    let t = std::time::Instant::now();
    for seed in from..from+n {
        let r = sim::run(seed, &sim::Cuts::default(), false);
        if let Some(v) = r.violation {
            println!("seed {seed}: {}: {}", v.invariant, v.seen);
            let (cuts, r) = sim::shrink(seed, v.invariant);
            for l in r.trace.iter().rev().take(60).rev() { println!("{l}"); }
            println!("{cuts:?}");
            println!("{:?}", r.violation);
            break;
        }
    }
    println!("{:?}", t.elapsed());
}
