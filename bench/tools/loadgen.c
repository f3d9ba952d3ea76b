// HTTP/1.1 load generator for JSON POST and SSE. One epoll thread. Prints one JSON line.
//   loadgen -u http://127.0.0.1:PORT/path -b body.json [-H 'k: v']... [-K keys] -c CONNS -d SECONDS [-r RATE] [-n MAXREQ] [-t TIMEOUT_S]
// Without -r: closed loop (each connection sends the next request when the last answer ended).
// With -r: open loop; latency counts from the scheduled send time (no coordinated omission); -c caps the connections.
// With -K, a file of bearer tokens, one a line: each request shows the next of them.
// TTFT = first SSE event with a "content" or first body byte for non-SSE. Chunks = "data: " events with choices.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
typedef struct { int fd, up, busy, wpos; char b[65536+8]; int n; int hdr, status, chunked, sse, close_, fin; long cl, got; int cst; long crem; char line[32]; int ln;
  double t0, first; char tail[8]; int tl; long chunks; int sawdone; char ev[4096]; int en; char*req; int reql; } conn;
static int ep; static struct sockaddr_in addr; static char **reqs; static int *reqls, nreq; static long nextreq; static double now(void){ struct timespec t; clock_gettime(CLOCK_MONOTONIC,&t); return t.tv_sec+t.tv_nsec/1e9; }
static double *lat,*ttft; static long nl,ntt,capl; static long ok,bad,err,events,incomplete,started; static long cmin=1L<<40,cmax; static int st_seen[600]; static double tend; static char badbody[400];
static int cmpd(const void*a,const void*b){ double x=*(double*)a,y=*(double*)b; return x<y?-1:x>y; }
static int copen(conn*c){ c->fd=socket(AF_INET,SOCK_STREAM|SOCK_NONBLOCK,0); int one=1; setsockopt(c->fd,IPPROTO_TCP,TCP_NODELAY,&one,4);
  if(connect(c->fd,(void*)&addr,sizeof addr)<0&&errno!=EINPROGRESS)return -1; struct epoll_event e={.events=EPOLLIN|EPOLLOUT,.data.ptr=c}; epoll_ctl(ep,EPOLL_CTL_ADD,c->fd,&e); c->up=1; return 0; }
static void wr(conn*c){ while(c->wpos<c->reql){ ssize_t w=write(c->fd,c->req+c->wpos,c->reql-c->wpos); if(w<0)break; c->wpos+=w; }
  struct epoll_event e={.events=EPOLLIN|(c->wpos<c->reql?EPOLLOUT:0),.data.ptr=c}; epoll_ctl(ep,EPOLL_CTL_MOD,c->fd,&e); }
static void start(conn*c,double t){ started++; c->busy=1; c->wpos=0; c->n=c->hdr=c->status=c->chunked=c->sse=c->close_=c->fin=0; c->cl=-1; c->got=0; c->cst=0; c->ln=0; c->t0=t; c->first=0; c->chunks=0; c->sawdone=0; c->en=0; int k=nextreq++%nreq; c->req=reqs[k]; c->reql=reqls[k];
  if(!c->up)copen(c); wr(c); }
static void line(conn*c,double t){ if(c->en>6&&!memcmp(c->ev,"data: ",6)){ if(!memcmp(c->ev+6,"[DONE]",6))c->sawdone=1; else { c->ev[c->en]=0; char*k=strstr(c->ev,"\"content\":"); if(k){ k+=10; while(*k==32)k++; } if(k&&k[0]==34&&k[1]!=34){ c->chunks++; if(!c->first)c->first=t; } } } c->en=0; }
static void body(conn*c,const char*p,long n,double t){ c->got+=n; if(!c->sse){ if(!c->first)c->first=t; if(c->status!=200&&!badbody[0]){ int k=n<390?n:390; memcpy(badbody,p,k); for(int i=0;i<k;i++)if(badbody[i]=='"'||badbody[i]=='\\'||badbody[i]<32)badbody[i]=' '; } return; }
  while(n>0){ const char*q=memchr(p,'\n',n); long k=q?q-p:n; int room=(int)sizeof c->ev-1-c->en; int m=k<room?k:room; memcpy(c->ev+c->en,p,m); c->en+=m; p+=k; n-=k; if(q){ p++; n--; line(c,t);} } }
static void feed(conn*c,const char*p,long n,double t){ // body bytes, decode chunked
  if(!c->chunked){ body(c,p,n,t); if(c->cl>=0&&c->got>=c->cl)c->fin=1; return; }
  while(n>0&&!c->fin){ if(c->cst==0){ // size line
      char ch=*p++; n--; if(ch=='\n'){ c->line[c->ln]=0; c->crem=strtol(c->line,0,16); c->ln=0; c->cst=c->crem?1:3; } else if(c->ln<30)c->line[c->ln++]=ch; }
    else if(c->cst==1){ long k=n<c->crem?n:c->crem; body(c,p,k,t); p+=k; n-=k; c->crem-=k; if(!c->crem)c->cst=2; }
    else if(c->cst==2){ if(*p=='\n')c->cst=0; p++; n--; }
    else { char ch=*p++; n--; if(ch=='\n'){ if(c->ln==0)c->fin=1; c->ln=0; } else if(ch!='\r')c->ln++; } } }
static void finish(conn*c,double t,int e){ c->busy=0; if(t>tend&&0)return; if(e){ err++; } else { if(c->status<600)st_seen[c->status]++; if(c->status==200){ ok++; if(nl<capl){ lat[nl++]=t-c->t0; ttft[ntt++]=c->first-c->t0; } events+=c->chunks; if(c->sse){ if(!c->sawdone)incomplete++; if(c->chunks<cmin)cmin=c->chunks; if(c->chunks>cmax)cmax=c->chunks; } } else bad++; }
  if(e||c->close_){ close(c->fd); c->up=0; } }
static double pct(double*a,long n,double p){ return n?1e3*a[(long)(p*(n-1)+0.5)]:0; }
int main(int ac,char**av){ signal(SIGPIPE,SIG_IGN); int C=1; double D=5,R=0,T=60; long N=0; char*url=0,*bf=0,*kf=0,hd[8192]="",host[64]="127.0.0.1"; int port=80; char path[512]="/"; int o;
  while((o=getopt(ac,av,"u:b:H:K:c:d:r:n:t:"))!=-1)switch(o){case'u':url=optarg;break;case'b':bf=optarg;break;case'H':strcat(hd,optarg);strcat(hd,"\r\n");break;case'K':kf=optarg;break;case'c':C=atoi(optarg);break;case'd':D=atof(optarg);break;case'r':R=atof(optarg);break;case'n':N=atol(optarg);break;case't':T=atof(optarg);break;}
  sscanf(url,"http://%63[^:/]:%d%511s",host,&port,path); addr.sin_family=AF_INET; addr.sin_port=htons(port); inet_pton(AF_INET,strcmp(host,"localhost")?host:"127.0.0.1",&addr.sin_addr);
  FILE*f=fopen(bf,"r"); if(!f){perror(bf);return 1;} char*bd=malloc(1<<24); int bn=fread(bd,1,1<<24,f); fclose(f);
  FILE*k=kf?fopen(kf,"r"):0; if(kf&&!k){perror(kf);return 1;} char key[512];
  do { char auth[600]=""; if(k){ if(fscanf(k,"%511s",key)!=1)break; sprintf(auth,"Authorization: Bearer %s\r\n",key); }
    char*r=malloc(bn+9000+1600); int n=sprintf(r,"POST %s HTTP/1.1\r\nHost: %s:%d\r\nContent-Type: application/json\r\nAccept: */*\r\n%s%sContent-Length: %d\r\n\r\n",path,host,port,hd,auth,bn); memcpy(r+n,bd,bn);
    reqs=realloc(reqs,(nreq+1)*sizeof*reqs); reqls=realloc(reqls,(nreq+1)*sizeof*reqls); reqs[nreq]=r; reqls[nreq++]=n+bn; } while(k);
  if(!nreq){ fprintf(stderr,"%s: no key\n",kf); return 1; }
  capl=4000000; lat=malloc(8*capl); ttft=malloc(8*capl); ep=epoll_create1(0); conn*cs=calloc(C,sizeof(conn)); struct epoll_event ev[512];
  double t0=now(); tend=t0+D; double nxt=t0; long missed=0; if(!R)for(int i=0;i<C&&!(N&&started>=N);i++)start(&cs[i],now());
  for(;;){ double t=now(); int busy=0; int stop=t>=tend||(N&&started>=N);
    if(R&&!stop){ while(nxt<=t&&nxt<tend){ int i=0; for(;i<C&&cs[i].busy;i++); if(i==C){ if(t-nxt>T){missed++; nxt+=1/R; continue;} break;} start(&cs[i],nxt); nxt+=1/R; if(N&&started>=N)break; } }
    for(int i=0;i<C;i++)busy+=cs[i].busy; if(stop&&!busy)break; if(t>tend+T){ for(int i=0;i<C;i++)if(cs[i].busy)err++; break; }
    int to=100; if(R&&!stop){ double d=(nxt-now())*1e3; to=d<=0?0:d<1?0:(int)d; if(to>100)to=100; }
    int n=epoll_wait(ep,ev,512,to); t=now();
    for(int i=0;i<n;i++){ conn*c=ev[i].data.ptr; if(!c->up)continue; if((ev[i].events&EPOLLOUT)&&c->busy)wr(c); else if(ev[i].events&EPOLLOUT){ struct epoll_event e={.events=EPOLLIN,.data.ptr=c}; epoll_ctl(ep,EPOLL_CTL_MOD,c->fd,&e); }
      if(!(ev[i].events&(EPOLLIN|EPOLLHUP|EPOLLERR)))continue;
      ssize_t r=read(c->fd,c->b+c->n,65536-c->n); if(r<0&&errno==EAGAIN)continue;
      if(r<=0){ if(c->busy){ if(c->hdr&&c->cl<0&&!c->chunked){ c->close_=1; finish(c,t,0);} else { /* a kept-alive connection closed under an unsent request: retry once on a fresh one */ int fresh=c->hdr==0&&c->n==0; close(c->fd); c->up=0; if(fresh&&c->wpos<=c->reql&&!c->fin&&c->cst!=9){ double s=c->t0; started--; start(c,s); c->cst=0; err+=0; static long retries; if(++retries>1000){ fprintf(stderr,"server keeps closing\n"); exit(2);} continue; } c->busy=0; err++; } } else { close(c->fd); c->up=0; }
        if(!R&&!c->busy&&now()<tend&&!(N&&started>=N))start(c,now()); continue; }
      if(!c->busy)continue;
      if(!c->hdr){ c->n+=r; char*e=memmem(c->b,c->n,"\r\n\r\n",4); if(!e){ continue; } c->hdr=1; c->status=atoi(c->b+9);
        for(char*p=memchr(c->b,'\n',c->n);p&&p<e;p=memchr(p,'\n',e-p)){ p++; if(!strncasecmp(p,"content-length:",15))c->cl=atol(p+15); else if(!strncasecmp(p,"transfer-encoding:",18))c->chunked=1; else if(!strncasecmp(p,"content-type:",13)){ char*z=memchr(p,'\n',e+2-p); if(z&&memmem(p,z-p,"event-stream",12))c->sse=1; } else if(!strncasecmp(p,"connection:",11)&&!strncasecmp(p+12,"close",5))c->close_=1; }
        int hl=e+4-c->b; long k=c->n-hl; c->n=0; if(c->cl==0)c->fin=1; if(k)feed(c,c->b+hl,k,t); }
      else feed(c,c->b,r,t);
      if(c->fin){ if(c->cl<0&&!c->chunked)c->close_=1; finish(c,t,0); double t2=now(); if(!R&&t2<tend&&!(N&&started>=N))start(c,t2); } } }
  double el=now()-t0; qsort(lat,nl,8,cmpd); qsort(ttft,ntt,8,cmpd);
  printf("{\"ok\":%ld,\"non200\":%ld,\"errors\":%ld,\"missed\":%ld,\"seconds\":%.3f,\"rps\":%.2f,\"p50\":%.3f,\"p90\":%.3f,\"p99\":%.3f,\"max\":%.3f,\"ttft_p50\":%.3f,\"ttft_p99\":%.3f,\"chunks\":%ld,\"chunks_s\":%.1f,\"chunks_min\":%ld,\"chunks_max\":%ld,\"no_done\":%ld,\"bad_body\":\"%s\"}\n",ok,bad,err,missed,el,ok/el,pct(lat,nl,.5),pct(lat,nl,.9),pct(lat,nl,.99),pct(lat,nl,1),pct(ttft,ntt,.5),pct(ttft,ntt,.99),events,events/el,cmax?cmin:0,cmax,incomplete,badbody); return 0; }
