#include "stress/crashlog/run.h"
#include "stress/crashlog/closure.h"
#include <stdio.h>
#include <time.h>
static double now(void){struct timespec t;clock_gettime(CLOCK_MONOTONIC,&t);return (double)t.tv_sec+(double)t.tv_nsec/1e9;}
int dev_main(const char *folder, unsigned depth)
{
	static struct replay replay; static struct oracle oracle; struct closure closure;
	struct store_log log; struct expected expected; char path[400];
	snprintf(path,sizeof path,"%s/log",folder); if(!store_log_read(&log,path)) return 1;
	snprintf(path,sizeof path,"%s/model",folder); if(!expected_read(&expected,path)) return 1;
	replay_open(&replay, folder); oracle.replay=&replay; closure_init(&closure,&oracle,depth);
	uint64_t at=0, images=0, bad=0;
	double begun=now();
	for (uint32_t i=0;i<log.operation_count;i++) {
		const struct logged_operation *lo=&log.operations[i]; const struct operation *op=&expected.operations[i];
		struct hash_set seen={0}; uint64_t thinned=0, mine=0, opbad=0; double t0=now(); unsigned streak=0;
		uint64_t r0=closure.recoveries,i0=closure.images;
		while (at<lo->first) { replay_apply(&replay,&log.stores[at++]); replay_settle(&replay);} 
		for (uint64_t s=lo->first; s<=lo->end; s++) {
			if (s>lo->first) { replay_apply(&replay,&log.stores[s-1]); replay_settle(&replay);
				if (log.stores[s-1].file!=FILE_HEAP && s!=lo->end) continue; }
			unsigned flags = s==lo->first?JUDGE_BEFORE: s==lo->end?JUDGE_AFTER:JUDGE_ANY;
			if (lo->end==lo->first) flags=JUDGE_ANY;
			if (!hash_set_add(&seen,replay.exact) && s!=lo->end) continue;
			if (s>lo->first && s<lo->end && log.stores[s-1].where >= (40u<<20)) { if (++streak>4 && streak%256) {thinned++; continue;} } else streak=0;
			mine++;
			work_reset(&replay);
			if (!oracle_judge(&oracle,op,flags)) { opbad++; if (opbad<3) printf("  BAD op %u %s store %lu of %lu pc %lx: %s\n",op->record.number,op->record.name,(unsigned long)(s-lo->first),(unsigned long)(lo->end-lo->first),(unsigned long)log.stores[s?s-1:0].code,oracle.why);} 
			else if (depth && !closure_judge(&closure,op,flags,s==lo->first)) { opbad++; printf("  BADREC op %u %s store %lu of %lu deaths %u after %lu %lu: %s\n",op->record.number,op->record.name,(unsigned long)(s-lo->first),(unsigned long)(lo->end-lo->first),closure.deaths,closure.died_after[0],closure.died_after[1],oracle.why);} 
		}
		at=lo->end; closure_forget(&closure);
		printf("%3u %-40s %6lu stores %5lu images %6lu thinned; %lu rec %lu recimages; %lu bad %.1f ms\n",op->record.number,op->record.name,(unsigned long)(lo->end-lo->first),(unsigned long)mine,(unsigned long)thinned,closure.recoveries-r0,closure.images-i0,(unsigned long)opbad,(now()-t0)*1e3);
		images+=mine; bad+=opbad; hash_set_clear(&seen);
	}
	while (at<log.count) { replay_apply(&replay,&log.stores[at++]); replay_settle(&replay);} 
	snprintf(path,sizeof path,"%s/last",folder); printf("equals last: %d\n",replay_equals(&replay,path));
	printf("%lu images, %lu bad, %.2f s; closure: %lu images %lu recoveries %lu stores deepest %u\n",images,bad,now()-begun,closure.images,closure.recoveries,closure.stores,closure.deepest);
	return 0;
}
