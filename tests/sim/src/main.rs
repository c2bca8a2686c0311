use std::collections::BTreeMap;
fn main() { 
    let mut args = std::env::args().skip(1);
    let from: u64 = args.next().unwrap().parse().unwrap();
    let n: u64 = args.next().unwrap().parse().unwrap();
    let t = std::time::Instant::now();
    let mut seen: BTreeMap<&str,(u64,Vec<(u64,String)>)> = BTreeMap::new();
    let mut counts = sim::Counts::default(); let mut calls=0; let mut answered=0; let mut bytes=0; let mut owed=0;
    for seed in from..from+n {
        let r = sim::run(seed, &sim::Cuts::default(), false);
        counts.add(&r.faults); calls+=r.calls; answered+=r.answered; bytes+=r.bytes; owed=owed.max(r.most_owed);
        if let Some(v) = r.violation {
            let e = seen.entry(v.invariant).or_default(); e.0+=1;
            if e.1.len()<4 {e.1.push((seed, v.seen));}
        }
    }
    for (k,(n,v)) in &seen { println!("{n:6} {k}"); for (s,t) in v { println!("        seed {s}: {t}"); } }
    println!("{:?} calls {calls} answered {answered} bytes {bytes} owed {owed}", t.elapsed());
    if n==1 { 
        let r = sim::run(from, &sim::Cuts::default(), false);
        if let Some(v) = r.violation {
            let (cuts, r) = sim::shrink(from, v.invariant);
            for l in r.trace.iter().rev().take(90).rev() { println!("{l}"); }
            let left: Vec<_> = sim::Fault::ALL.iter().filter(|f| !cuts.faults.contains(f)).collect();
            println!("left {left:?}");
            println!("{:?}", r.violation);
        }
    } else if n>5000 {
      for f in sim::Fault::ALL { println!("{:10} {}", counts.0[*f as usize], f.text()); }
    }
}
