bits 32
fninit
fld dword [eax]
fld qword [ebx+8]
fld st1
fild word [eax]
fild dword [ecx+4]
fistp dword [eax]
fstp qword [ebx]
fadd st0, st1
faddp st1, st0
fmul dword [eax]
fsqrt
fldcw [eax]
fnstcw [eax]
fnstsw ax
fldpi
fxch st1
emms
movaps xmm0, xmm1
movups xmm2, [eax]
addps xmm0, [eax+16]
paddd xmm1, xmm2
pxor mm0, mm0
movq mm0, [eax]
fxsave [eax]
fxrstor [eax]
ldmxcsr [eax]
