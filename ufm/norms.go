package ufm

var normQuestions []Question
